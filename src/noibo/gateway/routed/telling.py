"""How a virtual model chose, in headers and for the ledger. Of ASCII; no word of the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from noibo.gateway.reply import Headers, header
from noibo.routing.plan import Plan
from noibo.wire.management import ROUTE_HEADER, WHY_HEADER

LONGEST: Final = 1000
_STAND_IN: Final = (
    "only chats and completions are routed: this is asked of its first candidate that is here"
)
Tried = list[tuple[str, str]]  # models that gave no answer, and how that ended


def route_headers(plan: Plan, model: str, tried: Tried, checked: Sequence[str]) -> Headers:
    """What goes with the answer of `model`. `checked`: what was found in answers."""
    said = [plan.model, f"strategy={plan.strategy}"]
    if model:
        said.append(f"model={_plain(model)}")
    if plan.complexity is not None:
        said.append(f"class={plan.complexity}")
    if plan.p_local is not None:
        said.append(f"p_local={plan.p_local:.3f}")
    said += [f"tried={_plain(name)}:{how}" for name, how in tried]
    why = " | ".join(reasons_of(plan, tried, checked))
    return [header(ROUTE_HEADER, "; ".join(said)), header(WHY_HEADER, _ascii(why)[:LONGEST])]


def stand_in_headers(name: str, model: str) -> Headers:
    """Of what is no chat and no completion, asked of a virtual model: nothing was chosen."""
    said = f"{_plain(name)}; strategy=stand_in; model={_plain(model)}"
    return [header(ROUTE_HEADER, said), header(WHY_HEADER, _STAND_IN)]


def reasons_of(plan: Plan, tried: Tried, checked: Sequence[str]) -> tuple[str, ...]:
    """Everything that was decided, and what came of it."""
    ended = (f"{name} gave no answer: {how}" for name, how in tried)
    return (*plan.explain(), *checked, *ended)


def route_json(plan: Plan, model: str, tried: Tried) -> dict[str, Any]:
    """The same for receipts."""
    ended = [{"model": name, "outcome": how} for name, how in tried]
    return plan.as_json() | {"answered": model, "tried": ended}


def _plain(name: str) -> str:
    return _ascii(name).replace(";", "_").replace(" ", "_")


def _ascii(text: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
