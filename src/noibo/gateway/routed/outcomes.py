"""What became of answers of models of this machine: numbers alone, by which the chance that an
answer is right is fitted to each of them (`routing.calibration`).

They come from answers that were checked, and from votes of who asked. A fault is certain; that none
was found says little, a judge's grade more, and a vote more again. Kept in NOIBO_HOME, the last of
them, and no word of any prompt or answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from noibo.routing.calibration import Calibration, Outcome, calibrate, own_answers
from noibo.routing.demand import Chance
from noibo.routing.verdict import Verdict

KEPT: Final = 500  # of one model
LEAST: Final = 20  # before anything is made of them
FILE_NAME: Final = "outcomes.jsonl"
_ONLY_LIKELY: Final = frozenset({"unsure", "disagreement"})  # no faults of the answer itself
FOUND_WRONG, FOUND_NOTHING, GRADED, VOTED = 1.0, 0.25, 0.7, 0.8  # how far each is trusted


class _Line(msgspec.Struct, frozen=True):
    model: str
    p_raw: float
    right: float
    weight: float
    at: float = 0.0


class Outcomes:
    """By model. For several threads; the file is written where nobody waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._of: defaultdict[str, deque[Outcome]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._fitted: dict[str, Calibration] = {}
        self._read = False

    def add(self, model: str, outcome: Outcome) -> None:
        """One more. A disk that takes nothing loses a number, and no answer."""
        line = _Line(model, outcome.p_raw, outcome.right, outcome.weight, round(time.time(), 3))
        with self._turn:
            self._load()
            self._of[model].append(outcome)
            self._fitted.pop(model, None)
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    file.write(msgspec.json.encode(line) + b"\n")

    def calibration(self, model: str) -> Calibration | None:
        """None where too little is known of it."""
        with self._turn:
            self._load()
            if len(self._of[model]) < LEAST:
                return None
            if model not in self._fitted:
                self._fitted[model] = calibrate(self._of[model])
            return self._fitted[model]

    def fitted(self, chance: Chance, models: Iterable[str]) -> Chance:
        """The chance that the shipped weights have, with that of each of these models whose answers
        are known."""
        if chance.p is None:
            return chance
        known = {name: self.calibration(name) for name in models}
        own = {name: one.of(chance.p) for name, one in known.items() if one is not None}
        return Chance(
            chance.p,
            min((one.sure for one in own.values()), default=chance.sure),
            (*chance.reasons, *own_answers(known)),
            {name: one.p for name, one in own.items()},
        )

    def _load(self) -> None:
        if self._read:
            return
        self._read = True
        with contextlib.suppress(OSError):
            for text in self._path.read_bytes().splitlines():
                with contextlib.suppress(msgspec.MsgspecError):
                    line = msgspec.json.decode(text, type=_Line)
                    found = Outcome(line.p_raw, line.right, line.weight)
                    self._of[line.model].append(found)


def outcome_of_check(p_raw: float, verdict: Verdict, graded: float | None) -> Outcome:
    """What a check says of an answer whose chance was `p_raw` before it was asked."""
    if graded is not None:
        return Outcome(p_raw, graded, GRADED)
    if set(verdict.faults) - _ONLY_LIKELY:
        return Outcome(p_raw, 0.0, FOUND_WRONG)
    usual = 1.0 if verdict.good else 0.0
    return Outcome(p_raw, usual if verdict.p is None else verdict.p, FOUND_NOTHING)
