"""`noibo recommend`: which models suit this machine, or one that is described, and why."""

from __future__ import annotations

import contextlib
import json as jsonlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.catalog_view import Language
from noibo.cli.context import settings
from noibo.cli.note import Note
from noibo.cli.table import print_paragraph

if TYPE_CHECKING:
    from noibo.engines.fit.fit import Range
    from noibo.engines.memory.correction import Correction
    from noibo.engines.recommend.ranking import Pick
    from noibo.engines.recommend.recommendation import Recommendation
    from noibo.hardware.machine import Hardware
    from noibo.settings import Settings


class Use(StrEnum):
    """What a model is wanted for."""

    chat = "chat"
    code = "code"
    vietnamese = "vietnamese"
    rag = "rag"
    vision = "vision"
    embedding = "embedding"


def recommend(
    use: Annotated[Use, typer.Option(help="What the model is for.")] = Use.chat,
    hardware: Annotated[
        str | None,
        typer.Option(help='Another machine than this: "RTX 3060 12GB, 32GB", "M2 Max 64GB".'),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=256, help="Tokens for each caller; by use where not said.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Callers at the same time.")] = 1,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 5,
    lang: Annotated[Language, typer.Option(help="Language of what is said.")] = Language.en,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which models suit this machine, and why."""
    from noibo.assembly import open_engines, open_store
    from noibo.engines.memory.machine import amount
    from noibo.engines.recommend.candidate import Wanted
    from noibo.engines.recommend.recommendation import Here, recommendation
    from noibo.engines.recommend.use import context_for
    from noibo.modelstore.catalog import load

    tree = settings()
    machine, correction, remarks = _this(tree) if hardware is None else _described(hardware)
    engines = _installed(tree)
    may = amount(tree.memory.budget, machine.memory_bytes, "memory.budget")
    wanted = Wanted(
        use.value,
        context or context_for(use.value),
        parallel,
        tuple(tree.licences.allowed),
        engines if hardware is None else frozenset(open_engines(tree)),
        may / machine.memory_bytes,
    )
    here = Here()
    if hardware is None:
        here = Here(frozenset(str(one.reference) for one in open_store(tree).list()), engines)
    found = recommendation(load(), machine, wanted, here, correction)
    if json:
        print(jsonlib.dumps(_as_json(found, remarks, limit, lang), indent=2, ensure_ascii=False))
        return
    _print(found, machine, remarks, limit, lang)


def _installed(tree: Settings) -> frozenset[str]:
    """Engines that can be started now; on another machine any can be installed."""
    from noibo.assembly import open_engines
    from noibo.errors import EngineError

    found = {"llama_cpp"}  # it comes with noibo
    for name, engine in open_engines(tree).items():
        with contextlib.suppress(EngineError):
            engine.available()
            found.add(name)
    return frozenset(found)


def _described(text: str) -> tuple[Hardware, Correction, list[str]]:
    from noibo.engines.memory.correction import NONE
    from noibo.hardware.described import described

    machine = described(text)
    return machine, NONE, list(machine.notes)


def _this(tree: Settings) -> tuple[Hardware, Correction, list[str]]:
    """This machine as if nothing else ran, what was learned of it, and what there is to say first.
    A GPU that the engine cannot use counts: the remark says what makes it count."""
    from dataclasses import replace

    from noibo.assembly import look_at_machine
    from noibo.engines.fit import pace
    from noibo.engines.fit.speeds import Speeds
    from noibo.engines.llama_cpp.adapter import LlamaCpp
    from noibo.engines.memory.book import Book
    from noibo.engines.memory.correction import Correction

    note = Note()
    found = look_at_machine(tree, note)
    note.clear()
    gpus = tuple(replace(gpu, free_bytes=None) for gpu in found.hardware.gpus)
    machine = replace(found.hardware, gpus=gpus, available_bytes=found.hardware.memory_bytes)
    seen = Speeds(tree.home / "speeds.json").seen(found.build)
    read, written = pace.learned(seen, machine)
    memory = Book(tree.home / "memory.json").correction(LlamaCpp.name)
    said = [*machine.notes, *([found.remark] if found.remark else [])]
    return machine, Correction(memory, read, written), said


def _print(
    found: Recommendation, machine: Hardware, remarks: list[str], limit: int, lang: Language
) -> None:
    from noibo.engines.recommend.recommendation import summary
    from noibo.engines.recommend.words import WORDS

    words = WORDS[lang.value]
    name, good_for = words.tiers[found.tier.name]
    about = summary(machine, lang.value)
    print(words.of_tier.format(machine=about, name=name, good_for=good_for))
    for line in remarks:
        print_paragraph(f"! {line}")
    if not found.picks:
        print("\n" + words.nothing.format(use=found.wanted.use))
    for number, pick in enumerate(found.picks[:limit], start=1):
        _print_pick(number, pick, found, lang)
    if found.beside is not None:
        print("\n" + words.beside.format(command=found.command(found.beside)))
    if found.above is not None and found.above_pick is not None:
        pick, name = found.above_pick, words.tiers[found.above.name][0]
        said = {"name": name, "example": found.above.example, "model": pick.candidate.name}
        print("\n" + words.more.format(**said))
    print("\n" + words.order)


def _print_pick(number: int, pick: Pick, found: Recommendation, lang: Language) -> None:
    from noibo.engines.recommend.reasons import reasons
    from noibo.engines.recommend.words import WORDS

    words = WORDS[lang.value]

    mark = "" if pick.fit.verdict == "runs well" else f"  ({words.tight})"
    print(f"\n{number}. {pick.candidate.name}{mark}")
    for about, said in reasons(pick, lang.value).items():
        print(f"   {words.about[about]:<10}  {said}")
    print(f"   {words.about['next']:<10}  {found.command(pick)}")


def _as_json(
    found: Recommendation, remarks: list[str], limit: int, lang: Language
) -> dict[str, Any]:
    return {
        "machine": found.machine,
        "tier": found.tier.name,
        "use": found.wanted.use,
        "context": found.wanted.context,
        "parallel": found.wanted.parallel,
        "notes": remarks,
        "models": [_row(pick, found, lang) for pick in found.picks[:limit]],
        "embedding": found.beside and _row(found.beside, found, lang),
        "next_tier": found.above
        and {
            "name": found.above.name,
            "hardware": found.above.example,
            "model": found.above_pick and found.above_pick.candidate.name,
        },
    }


def _row(pick: Pick, found: Recommendation, lang: Language) -> dict[str, Any]:
    from noibo.engines.recommend.reasons import reasons

    one = pick.candidate
    return {
        "name": one.name,
        "quantisation": one.quantisation,
        "engine": one.engine,
        "verdict": pick.fit.verdict,
        "score": round(pick.score, 2),
        "quality": round(pick.quality, 2),
        "memory_bytes": _range(pick.fit.memory, None),
        "gpu_bytes": pick.on_gpus,
        "ram_bytes": pick.fit.ram,
        "spare_bytes": pick.spare,
        "gpu_layers": pick.fit.gpu_layers,
        "whole_on_gpu": pick.whole_on_gpu,
        "decode_tokens_per_s": _range(pick.fit.decode),
        "prefill_tokens_per_s": _range(pick.fit.prefill),
        "licence": one.licence.id,
        "licence_kind": one.licence.kind,
        "here": found.is_here(pick),
        "why": reasons(pick, lang.value),
        "command": found.command(pick),
    }


def _range(found: Range | None, digits: int | None = 3) -> dict[str, float] | None:
    """As `noibo fit` gives it; with no digits, in whole numbers."""
    from dataclasses import asdict

    if found is None:
        return None
    return {name: round(value, digits) for name, value in asdict(found).items()}
