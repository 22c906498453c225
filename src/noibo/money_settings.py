"""What is set about money: `[usage]`, and the tables `[prices."NAME"]` and `[budgets."WHOSE"]`.

Amounts are dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec

from noibo.errors import SettingsError

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Years = Annotated[float, msgspec.Meta(gt=0, le=100)]
Part = Annotated[float, msgspec.Meta(gt=0, le=1)]
Number = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
KINDS: Final = ("key", "user", "model")  # of whose a budget is, besides that of all
ALL: Final = "all"


def _key(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class Usage:
    """What is kept of calls, and by which numbers they are priced."""

    time_zone: str = _key(
        "", "Zone in which days and months begin, as Asia/Ho_Chi_Minh; empty: the machine's."
    )
    currency: Literal["USD", "VND"] = _key("USD", "What amounts are shown in: USD or VND.")
    vnd_per_usd: Amount = _key(0.0, "Đồng for a dollar, where amounts are shown in VND.")
    keep_days: Days = _key(400, "Days for which calls are kept; 0: for ever.")
    reference: str = _key(
        "", 'Model that "everything to the API" is priced by, as openai/gpt-4o-mini.'
    )
    watts: Amount | None = _key(
        None, "What this machine draws while it answers; unset: as `noibo usage power` measured."
    )
    idle_watts: Amount = _key(0.0, "What it draws more than it would if it were off, idle.")
    kwh_price: Amount | None = _key(None, "Dollars for a kWh; unset: unknown.")
    hardware_price: Amount | None = _key(
        None, "Dollars that this machine cost; 0: it was there anyway; unset: unknown."
    )
    hardware_years: Years = _key(3.0, "Years over which that is spread.")
    hardware_used: Part = _key(0.5, "Share of them in which it answers.")


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """Dollars for a million tokens of one model: the table `[prices."NAME"]`."""

    input: Amount | None = _key(None, "Dollars for a million tokens of prompts.")
    cached_input: Amount | None = _key(None, "Of those, from the provider's cache; unset: input.")
    cache_write: Amount | None = _key(None, "Of those, written to its cache; unset: input.")
    output: Amount | None = _key(None, "Dollars for a million tokens of answers.")
    reasoning: Amount | None = _key(None, "Of those, thought; unset: output.")
    image: Amount | None = _key(None, "Dollars for an image.")
    request: Amount | None = _key(None, "Dollars for a call, besides its tokens.")
    as_of: str = _key("", "Day on which that was so, as 2026-11-23.")
    source: str = _key("", "By whose word.")

    @property
    def said(self) -> dict[str, Any]:
        """What is set of it."""
        names = ("input", "cached_input", "cache_write", "output", "reasoning", "image", "request")
        found = {name: getattr(self, name) for name in (*names, "as_of", "source")}
        return {name: value for name, value in found.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """What may be spent elsewhere: the table `[budgets."WHOSE"]`, of all, key:NAME, user:NAME or
    model:NAME; with * for the name: of each."""

    day: Amount | None = _key(None, "Dollars a day; unset: no limit.")
    month: Amount | None = _key(None, "Dollars a calendar month; unset: no limit.")
    max_api_calls_per_hour: Number = _key(
        0, "Calls of models that cost money in any 60 minutes; 0: no limit."
    )
    over: Literal["local", "refuse"] = _key(
        "local", "When there is no more: local, a model of this machine answers; or refuse (429)."
    )


def check_budgets(budgets: Mapping[str, BudgetSettings]) -> None:
    """Raise `SettingsError` for a budget of nobody."""
    for whose in budgets:
        kind, _, name = whose.partition(":")
        if whose != ALL and not (kind in KINDS and name):
            raise SettingsError(
                f'[budgets."{whose}"] does not say whose it is.',
                next_step='Write [budgets.all], [budgets."key:NAME"], [budgets."user:NAME"] or '
                '[budgets."model:NAME"]; with * for the name: of each.',
            )
