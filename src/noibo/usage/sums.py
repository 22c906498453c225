"""Sums over the ledger, made by the database.

A request is answered by one of its calls: where a model elsewhere answered after one here did not
do, that one; a judge, or one whose answer was thrown away, cost something and answered nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.schema import usage
from noibo.usage.records import QUARTER_S

By = Literal["day", "user", "key", "model", "route", "label", "destination"]
_COLUMNS: Final[Mapping[str, sa.ColumnElement[object]]] = {
    "day": usage.c.quarter,
    "user": usage.c.owner,
    "key": usage.c.key,
    "model": usage.c.model,
    "route": usage.c.route,
    "label": usage.c.label,
    "destination": usage.c.destination,
}
_ANSWERED: Final = ("ok", "cut")


@dataclass(frozen=True, slots=True)
class Window:
    """Calls that ended from one moment to before another, of one user, key or model or of all."""

    since: float
    until: float
    user: str = ""
    key: str = ""
    model: str = ""

    @property
    def where(self) -> list[sa.ColumnElement[bool]]:
        """As conditions."""
        table = usage.c
        found = [
            table.quarter >= int(self.since // QUARTER_S),
            table.quarter <= int(self.until // QUARTER_S),
            table.at >= self.since,
            table.at < self.until,
        ]
        said = ((table.owner, self.user), (table.key, self.key), (table.model, self.model))
        # PostgreSQL takes no NUL, and nobody's name has one.
        wanted = ((column, value.replace("\0", "\ufffd")) for column, value in said if value)
        return [*found, *(column == value for column, value in wanted)]


@dataclass(frozen=True, slots=True)
class Cell:
    """A sum of calls that share `name` (for days: the quarter of an hour), were `local` or not, and
    had `long` prompts or not. `unpriced`: of so many the cost is unknown, `uncounted`: the tokens
    of answers. `answer_input` and `answer_output` are tokens of calls that answered."""

    name: str | int
    local: bool
    long: bool
    calls: int
    answers: int
    failed: int
    input: int
    cached: int
    output: int
    reasoning: int
    answer_input: int
    answer_output: int
    uncounted: int
    cost: int
    unpriced: int
    total_ms: int


def sums(connection: Connection, window: Window, by: By, long_above: int = 0) -> list[Cell]:
    """The sums of a window. Prompts of more than `long_above` tokens are summed apart (0: none)."""
    table, answers = usage.c, _answers()
    long = sa.func.coalesce(table.input, 0) > long_above if long_above else sa.literal(value=False)
    name = _COLUMNS[by]
    counted = answers & table.input.is_not(None) & table.output.is_not(None)
    groups = [name.label("name"), table.local.label("local"), long.label("long")]
    asked = (
        sa.select(
            *groups,
            sa.func.count().label("calls"),
            _count(answers).label("answers"),
            _count(table.outcome == "failed").label("failed"),
            *(_sum(table[kind]).label(kind) for kind in ("input", "cached", "output", "reasoning")),
            _sum(sa.case((counted, table.input))).label("answer_input"),
            _sum(sa.case((counted, table.output))).label("answer_output"),
            _count(answers & ~(table.input.is_not(None) & table.output.is_not(None))).label(
                "uncounted"
            ),
            _sum(table.cost).label("cost"),
            _count(table.cost.is_(None) & (table.outcome != "failed")).label("unpriced"),
            _sum(table.total_ms).label("total_ms"),
        )
        .where(*window.where)
        .group_by(name, table.local, long)
    )
    return [_cell(found._asdict()) for found in connection.execute(asked)]


def first(connection: Connection) -> float | None:
    """When the first call ended that is kept; None: there is none."""
    found = connection.execute(sa.select(sa.func.min(usage.c.at))).scalar()
    return None if found is None else float(found)


def _answers() -> sa.ColumnElement[bool]:
    other = usage.alias("other")
    mine, theirs = usage.c, other.c
    longer = sa.func.coalesce(theirs.output, 0), sa.func.coalesce(mine.output, 0)
    better = sa.or_(
        mine.local & ~theirs.local,
        (mine.local == theirs.local)
        & sa.or_(longer[0] > longer[1], (longer[0] == longer[1]) & (theirs.id > mine.id)),
    )
    same = theirs.request == mine.request, theirs.id != mine.id, theirs.outcome.in_(_ANSWERED)
    answered_better = sa.exists().where(*same, better).correlate(usage)
    return mine.outcome.in_(_ANSWERED) & ~answered_better


def _count(what: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return _sum(sa.case((what, 1), else_=0))


def _sum(what: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(what), 0)


def _cell(found: Mapping[str, Any]) -> Cell:
    """PostgreSQL's sums of whole numbers are decimal ones."""
    named = {"name", "local", "long"}
    whole = {name: int(value) for name, value in found.items() if name not in named}
    return Cell(name=found["name"], local=bool(found["local"]), long=bool(found["long"]), **whole)
