"""What was used and what it cost, by day, user, model …, and what was saved by answering here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from noibo.usage.cost import Total, cost
from noibo.usage.periods import Zone, day_of
from noibo.usage.prices import Price
from noibo.usage.sums import By, Cell
from noibo.usage.tokens import Tokens

_QUARTER_S = 900


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report. `api` and `local` are what calls elsewhere and here cost, in
    billionths of a dollar; `instead` what the answers of this machine would have cost at the
    reference model: None: nobody named one, or its price is unknown. `uncounted` of the local
    answers have no count of tokens, and no part in it."""

    name: str
    calls: int = 0
    answers: int = 0
    local_answers: int = 0
    failed: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    api: Total = Total()
    local: Total = Total()
    instead: int | None = None
    uncounted: int = 0
    local_ms: int = 0

    @property
    def local_share(self) -> Decimal | None:
        """Share of the answered requests that this machine answered."""
        return Decimal(self.local_answers) / self.answers if self.answers else None

    @property
    def saved(self) -> int | None:
        """What answering here saved against the reference, after what it cost here: at most, where
        `local` is not whole. None: unknown, as one of the two is."""
        if self.instead is None or (self.local.unknown and not self.local.amount):
            return None
        return self.instead - self.local.amount


@dataclass(frozen=True, slots=True)
class Report:
    """Lines by what was asked for, and all together. `reference` is the model that savings are
    counted against, `price` its price, None where it is unknown."""

    by: By
    lines: tuple[Line, ...]
    total: Line
    reference: str = ""
    price: Price | None = None


def report(
    cells: Sequence[Cell], by: By, where: Zone, reference: str = "", price: Price | None = None
) -> Report:
    """The report of sums."""
    groups: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[_name(cell, by, where)].append(cell)
    lines = [_line(name, some, price) for name, some in groups.items()]
    if by == "day":
        lines.sort(key=lambda line: line.name)
    else:
        lines.sort(key=lambda line: (-line.api.amount, -line.calls, line.name))
    return Report(by, tuple(lines), _line("", list(cells), price), reference, price)


def instead(cells: Sequence[Cell], price: Price | None) -> int | None:
    """What answers of this machine would have cost elsewhere, all of their prompts at the full
    price: nobody knows what would have been in the provider's cache."""
    if price is None:
        return None
    total = 0
    for cell in cells:
        if cell.local and cell.answers:
            longest = price.long_above + 1 if cell.long else 0
            each = _at_rates(cell, price, longest)
            if each is None:
                return None
            total += each
    return total


def _at_rates(cell: Cell, price: Price, longest: int) -> int | None:
    """Sums are priced by the rates of their prompts' length, not of their own."""
    usual = Price(price.name, price.rates(longest), image=price.image)
    found = cost(Tokens(input=cell.answer_input, output=cell.answer_output), usual)
    calls = int(price.request * 10**9) * (cell.answers - cell.uncounted)
    return None if found is None else found + calls


def _name(cell: Cell, by: By, where: Zone) -> str:
    if by == "day" and isinstance(cell.name, int):
        return day_of(cell.name * _QUARTER_S, where).isoformat()
    return str(cell.name)


def _line(name: str, cells: Sequence[Cell], price: Price | None) -> Line:
    here = [cell for cell in cells if cell.local]
    there = [cell for cell in cells if not cell.local]
    return Line(
        name=name,
        calls=sum(cell.calls for cell in cells),
        answers=sum(cell.answers for cell in cells),
        local_answers=sum(cell.answers for cell in here),
        failed=sum(cell.failed for cell in cells),
        input=sum(cell.input for cell in cells),
        cached=sum(cell.cached for cell in cells),
        output=sum(cell.output for cell in cells),
        reasoning=sum(cell.reasoning for cell in cells),
        api=_total(there),
        local=_total(here),
        instead=instead(cells, price),
        uncounted=sum(cell.uncounted for cell in here),
        local_ms=sum(cell.total_ms for cell in here),
    )


def _total(cells: Sequence[Cell]) -> Total:
    return sum((Total(cell.cost, cell.unpriced) for cell in cells), Total())
