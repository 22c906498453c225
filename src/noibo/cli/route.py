"""`noibo route`: which model would answer, and why."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_view import Language
from noibo.cli.route_eval import evaluate
from noibo.cli.route_score import score
from noibo.cli.terminal import harmless
from noibo.errors import NoCandidate, UsageError

if TYPE_CHECKING:
    from noibo.privacy.judgement import Judgement, Reason
    from noibo.routing.demand import Demand
    from noibo.routing.plan import Plan
    from noibo.routing.virtual import VirtualModel
    from noibo.settings import Settings

Tongue = Literal["en", "vi"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show which model would answer, and why.",
)


app.command("score")(score)
app.command("eval")(evaluate)


@app.callback()
def _group() -> None:
    """Show which model would answer, and why."""


@app.command("explain")
def explain(
    prompt: Annotated[
        str, typer.Argument(help="What would be asked; - reads standard input.", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="A virtual model.")] = "auto",
    label: Annotated[
        str | None, typer.Option(help="What the caller would say of it: public, secret …")
    ] = None,
    needs: Annotated[
        str, typer.Option(help="What an answer would take: tools,vision,json,schema,audio.")
    ] = "",
    task: Annotated[
        str,
        typer.Option(help="Its kind, by which quality was measured; unset: as the prompt says."),
    ] = "",
    lang: Annotated[Language, typer.Option(help="Language of the reasons.")] = Language.en,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which model would answer, and why no other. Nothing is asked, and nothing is sent. That
    nobody would is told as well, and no error."""
    from noibo.cli.route_candidates import candidates_of
    from noibo.gateway.routed.outcomes import FILE_NAME, Outcomes
    from noibo.routing.plan import weigh
    from noibo.routing.virtual import virtual_models

    tree = settings()
    text = sys.stdin.read() if prompt == "-" else prompt
    virtual = _virtual(virtual_models(tree), model)
    candidates, missing = candidates_of(virtual, tree)
    judgement = _judged(tree, text, label)
    language: Tongue = "vi" if lang is Language.vi else "en"
    demand = _demand(text, needs, task, judgement)
    outcomes = Outcomes(tree.home / FILE_NAME)  # what became of the server's own answers
    here = [one.name for one in candidates if one.local]
    demand = replace(demand, chance=outcomes.fitted(demand.chance, here))
    plan = weigh(model, demand, candidates, virtual.strategy, offline=tree.offline)
    nobody = None if plan.targets else _nobody(virtual, demand, plan, missing, language)
    if json:
        found = _as_json(plan, judgement, missing, language)
        print(jsonlib.dumps(found | _error(nobody), ensure_ascii=False))
        return
    _print(plan, judgement, missing, language)
    if nobody is not None:
        print(f"\n{harmless(nobody.message)} {harmless(nobody.next_step)}")


def _virtual(known: dict[str, VirtualModel], name: str) -> VirtualModel:
    if name not in known:
        raise UsageError(
            f"{name} is no virtual model.",
            next_step=f'Here: {", ".join(known)}. [virtual."NAME"] in noibo.toml makes others.',
        )
    return known[name]


def _judged(tree: Settings, text: str, label: str | None) -> Judgement:
    """What the server would judge it to be."""
    from noibo.privacy.detector import Detector
    from noibo.privacy.judgement import CALLER, Reason
    from noibo.privacy.judging import judged
    from noibo.privacy.policy import Policy

    said = [Reason(CALLER, label, "--label")] if label else []
    fields = {"messages": [{"role": "user", "content": text}]}
    return judged(Policy.of(tree.privacy), fields, Detector().find, said)


def _demand(text: str, needs: str, task: str, judgement: Judgement) -> Demand:
    from noibo.routing import ComplexityClassifier
    from noibo.routing.demand import ABILITIES, Ability, Chance, Demand, Rule
    from noibo.routing.features import Query
    from noibo.routing.task import task_of

    wanted = [one.strip() for one in needs.split(",") if one.strip()]
    if unknown := [one for one in wanted if one not in ABILITIES]:
        raise UsageError(
            f"{unknown[0]} is nothing that a model can have.",
            next_step=f"--needs takes {', '.join(ABILITIES)}, with commas between.",
        )
    demand = Demand.of_chat({"messages": [{"role": "user", "content": text}]})
    found = ComplexityClassifier().weigh(Query(text, tools=int("tools" in wanted)))
    return replace(
        demand,
        needs=demand.needs | frozenset(cast(list[Ability], wanted)),
        task=task or task_of(found.features),
        chance=Chance(found.p_local, found.sure, found.told()),
        label=judgement.label,
        rule=cast(Rule, str(judgement.rule)),
    )


def _nobody(
    virtual: VirtualModel, demand: Demand, plan: Plan, missing: list[str], language: Tongue
) -> NoCandidate:
    """What a request would be told."""
    from noibo.routing.refusal import nothing_left

    if plan.ruled_out or not missing:
        return nothing_left(virtual.name, demand, plan.ruled_out, language)
    none, fetch = _NONE_HERE[language]
    return NoCandidate(
        none.format(virtual.name, ", ".join(missing)),
        status=503,
        next_step=fetch.format(missing[0]),
    )


def _error(nobody: NoCandidate | None) -> dict[str, Any]:
    if nobody is None:
        return {}
    return {"error": {"message": nobody.message, "next_step": nobody.next_step}}


def _as_json(
    plan: Plan, judgement: Judgement, missing: list[str], language: Tongue
) -> dict[str, Any]:
    return {**plan.as_json(language), "privacy": judgement.as_json(), "missing": missing}


_MISSING = {"en": "not {}: it is not on this machine", "vi": "không dùng {}: chưa có trên máy này"}
_NONE_HERE = {
    "en": ("None of {}'s models is here: {}.", "Fetch one: `noibo pull {}`."),
    "vi": ("Chưa có mô hình nào của {} trên máy này: {}.", "Tải về một mô hình: `noibo pull {}`."),
}
_NOBODY = {"en": "nobody", "vi": "không có"}
_LABEL = "its label is said by {}"
_LABEL_VI = {  # by who says it
    "default": "nhãn {label} là mặc định: không ai nêu nhãn",
    "caller": "nhãn {label} do người gọi nêu",
    "detector": "nhãn {label} do bộ dò tìm thấy {because}",
    "fault": "nhãn {label} vì bộ dò không xem xét được nội dung",
}
_HEAD = {
    "en": ("model", "strategy", "class", "right with a chance of"),
    "vi": ("mô hình", "chiến lược", "loại", "xác suất đúng"),
}


def _print(plan: Plan, judgement: Judgement, missing: list[str], language: Tongue) -> None:
    p = "?" if plan.p_local is None else f"{plan.p_local:.2f}"
    who = plan.first.model if plan.targets else _NOBODY[language]
    values = (who, plan.strategy, plan.complexity or "?", p)
    width = max(map(len, _HEAD[language]))
    for name, value in zip(_HEAD[language], values, strict=True):
        print(f"{name:<{width}}  {harmless(value)}")
    print()
    for line in plan.explain(language):
        print(f"- {harmless(line)}")
    for one in judgement.deciding:
        print(f"- {harmless(_label(one, language))}")
    for name in missing:
        print(f"- {harmless(_MISSING[language].format(name))}")


def _label(reason: Reason, language: Tongue) -> str:
    if language == "en" or reason.source not in _LABEL_VI:
        return _LABEL.format(reason)
    return _LABEL_VI[reason.source].format(label=reason.label, because=reason.because)
