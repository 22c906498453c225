"""How sure one local model is as a rule, so that it shows when it is less so.

A model of eight billion parameters gives its words other chances than one of a hundred million, and
free text has others than a choice. What a calibration was learnt from is therefore not held against
an answer as it stands, but in deviations from what this very model answers: weights learnt
elsewhere, centre and spread its own. For that nobody needs to know which answers were right. Only
numbers are kept, of the last answers.
"""

from __future__ import annotations

import statistics
import threading
from collections import deque
from dataclasses import replace
from typing import Final

from noibo.routing.confidence import NAMES, Calibration, Confidence, Row, shipped

KEPT: Final = 500
LEAST: Final = 40  # answers, before anything is said by their tokens
_AGREEMENT: Final = NAMES.index("agreement")
_NARROWEST: Final = 0.05  # spread; of answers that are all alike, none stands out


class OwnAnswers:
    """Of one model. For several threads."""

    __slots__ = ("_rows", "_shares", "_turn")

    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._shares: deque[float] = deque(maxlen=KEPT)
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, confidence: Confidence | None) -> None:
        """One more answer."""
        if confidence is None:
            return
        with self._turn:
            self._rows.append(confidence.row()[:_AGREEMENT])
            if confidence.agreement is not None:
                self._shares.append(confidence.agreement)

    def weigh(self, confidence: Confidence | None, agreed: float | None = None) -> Calibration:
        """Weights for this answer, which counts from now on as one of its model's."""
        found = self.calibration()
        if confidence is not None:
            self.add(replace(confidence, agreement=agreed))
        return found

    def calibration(self, learnt: Calibration | None = None) -> Calibration:
        """Weights learnt elsewhere (the shipped ones, where none are given) for this model's
        answers. Of too few answers only agreement is looked at."""
        learnt = shipped() if learnt is None else learnt
        with self._turn:
            rows, shares = list(self._rows), list(self._shares)
        means, scales = list(learnt.means), list(learnt.scales)
        if len(shares) >= LEAST:
            means[_AGREEMENT], scales[_AGREEMENT] = _centre(shares)
        if len(rows) < LEAST:
            silent = (learnt.together[0], *([0.0] * _AGREEMENT), learnt.together[-1])
            alone = (learnt.alone[0], *([0.0] * _AGREEMENT))
            return replace(
                learnt, means=tuple(means), scales=tuple(scales), together=silent, alone=alone
            )
        for place, values in enumerate(zip(*rows, strict=True)):
            means[place], scales[place] = _centre(values)
        return replace(learnt, means=tuple(means), scales=tuple(scales))


def _centre(values: Row | list[float]) -> tuple[float, float]:
    return statistics.fmean(values), max(statistics.pstdev(values), _NARROWEST)
