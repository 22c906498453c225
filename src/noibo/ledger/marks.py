"""Which rows of a ledger this node did not write: they do not bear its mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from noibo.ledger.checked import said
from noibo.ledger.node import Node
from noibo.ledger.row import Row
from noibo.ledger.walk import Place


@dataclass(slots=True)
class _Run:
    """Rows one after the other that do not bear it."""

    first: int
    last: int
    place: Place


class Marks:
    """Looks at the rows one by one. Without a `node` (its key is gone) nothing can be said."""

    def __init__(self, node: Node | None) -> None:
        self._node = node
        self._runs: list[_Run] = []

    def look_at(self, row: Row, place: Place) -> None:
        """The next row."""
        if self._node is None:
            return
        if row.is_by(self._node):
            if row.kind == "new_key":  # all before it is by the former key: that is said there
                self._runs.clear()
            return
        if self._runs and self._runs[-1].last == row.number - 1:
            self._runs[-1].last = row.number
        else:
            self._runs.append(_Run(row.number, row.number, place))

    def faults(self) -> Iterator[str]:
        """What is wrong, once all were looked at."""
        for run in self._runs:
            yield (
                f"{said(run.first, run.last)} ({run.place}): not written by this node. Its digest"
                " is right, which anybody can make; its mark is not, or is missing."
            )
