"""Which budgets a call is under: by who asks, with which key, and which model it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal

from noibo.usage.money import decimal, nanos
from noibo.usage.periods import Zone, day, month

if TYPE_CHECKING:
    from noibo.money_settings import BudgetSettings

ALL: Final = "all"
EACH: Final = "*"
HOUR: Final = "hour"  # the period of a limit of calls: the 60 minutes before now
HOUR_S: Final = 3600.0
Over = Literal["local", "refuse"]


@dataclass(frozen=True, slots=True)
class Spender:
    """Who makes a call cost money: `key` by its id, as `key:ID`, and by its name; a user."""

    user: str = ""
    key: str = ""
    key_name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A budget, of whom `whose` says: `all`, `key:NAME`, `user:NAME`, `model:NAME`, and with * as
    the name of each of them for themselves. `day` and `month` are billionths of a dollar; None: no
    limit. `over`: what is to become of a call that it has no room for."""

    whose: str
    day: int | None = None
    month: int | None = None
    calls_per_hour: int | None = None
    over: Over = "local"

    @property
    def kind(self) -> str:
        """all, key, user or model."""
        return self.whose.partition(":")[0]

    @property
    def name(self) -> str:
        return self.whose.partition(":")[2]

    @property
    def of_money(self) -> bool:
        """True if a price is needed to keep to it."""
        return self.day is not None or self.month is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call takes of one limit: `scope` and `period` are the limit's row in the database."""

    scope: str
    period: str
    limit: int
    resets_at: float
    rule: Rule


def rules_of(budgets: Mapping[str, BudgetSettings], calls_per_hour: int = 0) -> tuple[Rule, ...]:
    """The rules that settings say; `calls_per_hour` is one for all callers, 0: none."""
    found = [
        Rule(
            whose,
            None if own.day is None else nanos(decimal(own.day, "day")),
            None if own.month is None else nanos(decimal(own.month, "month")),
            own.max_api_calls_per_hour or None,
            own.over,
        )
        for whose, own in budgets.items()
    ]
    if calls_per_hour:
        found.append(Rule(ALL, calls_per_hour=calls_per_hour))
    return tuple(found)


def of_no_model(rules: Iterable[Rule], models: Iterable[str]) -> list[str]:
    """Whose the rules are that name no model there is: a slip of the pen holds nobody back."""
    known = tuple(models)
    named = [one for one in rules if one.kind == "model" and one.name != EACH]
    return [one.whose for one in named if not any(_is(one, "model", name) for name in known)]


def rules_for(rules: tuple[Rule, ...], who: Spender, model: str) -> Iterator[tuple[str, Rule]]:
    """The rules that a call is under, each with the scope that it counts in. One that names a key,
    user or model holds instead of one for each of that kind."""
    names = {"key": (who.key.partition(":")[2], who.key_name), "user": (who.user,)}
    scopes = {"key": who.key, "user": f"user:{who.user}", "model": f"model:{model}"}
    for rule in rules:
        if rule.kind == ALL:
            yield ALL, rule
    for kind, scope in scopes.items():
        mine = [rule for rule in rules if rule.kind == kind]
        known = [one for one in names.get(kind, (model,)) if one]
        if not known:
            continue
        named = [rule for rule in mine if any(_is(rule, kind, one) for one in known)]
        for rule in named or [one for one in mine if one.name == EACH]:
            pattern = kind == "model" and "*" in rule.name and rule.name != EACH
            yield (rule.whose if pattern else scope)[:300], rule


def _is(rule: Rule, kind: str, name: str) -> bool:
    if rule.name == EACH:
        return False
    return fnmatchcase(name, rule.name) if kind == "model" else rule.name == name


def claims_of(
    rules: tuple[Rule, ...], who: Spender, model: str, now: float, where: Zone
) -> tuple[Claim, ...]:
    """What a call takes of which limits, in the order in which all take them: no two servers wait
    for each other."""
    today, this_month = day(now, where), month(now, where)
    found: dict[tuple[str, str], Claim] = {}
    for scope, rule in rules_for(rules, who, model):
        limits = (
            (today.name, rule.day, today.ends),
            (this_month.name, rule.month, this_month.ends),
            (HOUR, rule.calls_per_hour, now + HOUR_S),
        )
        for period, limit, resets_at in limits:
            old = found.get((scope, period))
            if limit is not None and (old is None or limit < old.limit):
                found[scope, period] = Claim(scope, period, limit, resets_at, rule)
    return tuple(found[place] for place in sorted(found))


def share(spent: int, limit: int) -> Decimal:
    """How much of a limit is used, 0 to 1 and a little more."""
    return Decimal(spent) / Decimal(limit) if limit else Decimal(1)
