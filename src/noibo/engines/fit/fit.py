"""Will a model run here, how large, how fast, and what to change. Pure."""

from __future__ import annotations

from noibo.engines.fit.advice import advised
from noibo.engines.fit.ask import Ask
from noibo.engines.fit.judge import judge
from noibo.engines.fit.pace import usable
from noibo.engines.fit.prediction import BUDGET, Fit, Range, gigabytes
from noibo.engines.memory.correction import NONE, Correction
from noibo.hardware.machine import Hardware


def predict(
    ask: Ask, hardware: Hardware, correction: Correction = NONE, budget: float = BUDGET
) -> Fit:
    """What to expect of `ask` on that machine, with what to change. `budget` is the part of the
    memory that models may take."""
    return advised(judge(ask, hardware, correction, budget), hardware, correction, budget)


__all__ = ["BUDGET", "Fit", "Range", "gigabytes", "judge", "predict", "usable"]
