"""How well spans are found: by type, by template, and how often where there is nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from noibo.privacy.span import Span

Find = Callable[[str], Iterable[Span]]
STRUCTURED = frozenset(
    [
        "DOB",
        "PHONE",
        "EMAIL",
        "CCCD",
        "CMND",
        "PASSPORT",
        "MST",
        "BHXH",
        "BHYT",
        "BANK_ACCOUNT",
        "CREDIT_CARD",
        "LICENSE_PLATE",
        "IP",
        "IBAN",
        "API_KEY",
        "PRIVATE_KEY",
        "US_SSN",
        "US_DRIVER_LICENSE",
        "DRIVER_LICENSE",
    ]
)


@dataclass(frozen=True, slots=True)
class Row:
    """A text, what stands in it, and the template it was made of, if it was made of one."""

    text: str
    spans: tuple[Span, ...]
    template: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts. A gold span is found if predictions cover all of it; a prediction is right if it
    overlaps a gold span; a label is right if one of the predictions over a gold span has it."""

    gold: int
    covered: int
    predicted: int
    right: int
    labelled: int
    empty: int
    hit: int

    @property
    def recall(self) -> float:
        return self.covered / self.gold if self.gold else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 1.0

    @property
    def label_accuracy(self) -> float:
        return self.labelled / self.covered if self.covered else 1.0

    @property
    def false_hits(self) -> float:
        """The share of texts without anything in which something was found."""
        return self.hit / self.empty if self.empty else 0.0


def row_of(entry: Mapping[str, Any]) -> Row:
    """A row of a line of the shared data."""
    spans = tuple(Span(one["start"], one["end"], one["label"]) for one in entry["spans"])
    return Row(entry["text"], spans, str(entry.get("template", "")))


def by_template(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each template; those without one are left out."""
    kept: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.template:
            kept[row.template].append(row)
    return dict(kept)


def score(rows: Iterable[Row], find: Find, labels: Collection[str]) -> Score:
    """Everything over the spans with one of `labels`; predictions of other labels do not count."""
    gold = covered = predicted = right = labelled = empty = hit = 0
    for row in rows:
        spans = [span for span in find(row.text) if span.label in labels]
        wanted = [span for span in row.spans if span.label in labels]
        empty += not row.spans
        hit += bool(spans) and not row.spans
        predicted += len(spans)
        right += sum(any(_overlap(span, other) for other in row.spans) for span in spans)
        for span in wanted:
            gold += 1
            over = [other for other in spans if _overlap(span, other)]
            whole = _covers(over, span)
            covered += whole
            labelled += whole and any(other.label == span.label for other in over)
    return Score(gold, covered, predicted, right, labelled, empty, hit)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _covers(spans: Iterable[Span], wanted: Span) -> bool:
    reached = wanted.start
    for span in sorted(spans):
        if span.start > reached:
            return False
        reached = max(reached, span.end)
    return reached >= wanted.end
