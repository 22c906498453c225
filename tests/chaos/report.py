"""What the chaos suite found, a row for each fault: kept as JSON, shown as Markdown.

`python -m tests.chaos.report` prints the table of the last run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.call import LOST, End, Outcome

KEPT = Path(__file__).parents[2] / ".cache" / "chaos.json"
COLUMNS = {
    "fault": "fault",
    "times": "times",
    "sent": "requests",
    "answered": "answered",
    "failed": "failed, told why",
    "lost": "lost",
    "wrong": "doubled or mixed",
    "recovery_p50_s": "recovery p50, s",
    "recovery_p95_s": "p95, s",
    "note": "",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `failed` were told why, by status or event; recovery is in seconds."""

    fault: str
    times: int
    sent: int
    answered: int
    failed: int
    left: int
    lost: int
    wrong: int
    recovery_p50_s: float | None
    recovery_p95_s: float | None
    note: str = ""

    @classmethod
    def of(
        cls,
        fault: str,
        times: int,
        outcomes: Sequence[Outcome],
        recoveries: Sequence[float] = (),
        note: str = "",
    ) -> Row:
        count = Counter(outcome.end for outcome in outcomes)
        return cls(
            fault=fault,
            times=times,
            sent=len(outcomes),
            answered=count[End.ANSWERED],
            failed=count[End.FAILED],
            left=count[End.LEFT],
            lost=sum(count[end] for end in LOST),
            wrong=count[End.WRONG],
            recovery_p50_s=quantile(recoveries, 0.5),
            recovery_p95_s=quantile(recoveries, 0.95),
            note=note,
        )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that so many are not above."""
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else None


def keep(row: Row) -> None:
    """Put a row beside those of the other faults, and print it."""
    rows = {**_kept(), row.fault: asdict(row)}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    print("\n" + as_markdown([asdict(row)]))


def as_markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """A table."""
    lines = [list(COLUMNS.values()), ["---"] * len(COLUMNS)]
    lines += [["" if row[c] is None else str(row[c]) for c in COLUMNS] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _kept() -> dict[str, dict[str, object]]:
    try:
        rows: dict[str, dict[str, object]] = json.loads(KEPT.read_text())
    except (OSError, ValueError):
        return {}
    return rows


if __name__ == "__main__":
    print(as_markdown(list(_kept().values())))
