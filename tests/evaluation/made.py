"""Rounds as a bench would have heard them, made by hand."""

from __future__ import annotations

from noibo.evaluation.answer import Answer, Failure, Kind
from noibo.evaluation.cost import Machine
from noibo.evaluation.report import Place, Report, reported
from noibo.evaluation.rounds import Cell, Plan, Round, Standing
from noibo.evaluation.sides import Side

PLACE = Place("2026-11-23T00:00:00Z", "a machine", "0", "USD")


def answer(began: float, *, every: float = 0.1, tokens: int = 10, **changed: object) -> Answer:
    """Tokens that come at an even pace, the first after one step."""
    pieces = tuple(began + every * number for number in range(1, tokens + 1))
    fields: dict[str, object] = {
        "began": began,
        "ended": pieces[-1],
        "pieces": pieces,
        "tokens": tokens,
        "by_usage": True,
        "said": pieces[0],
        "prompt_tokens": 128,
        "finish": "length",
        "model": "m",
    }
    return Answer(**(fields | changed))  # type: ignore[arg-type]


def round_of(number: int, *, every: float = 0.1, answers: int = 4, **changed: object) -> Round:
    """One caller that is answered again and again from moment 0 on."""
    long = every * 10
    made = [answer(long * at, every=every, **changed) for at in range(answers)]
    return Round(number, 0.0, long * answers, made, whole=True)


def standing(name: str, *rounds: Round, callers: int = 1, **changed: object) -> Standing:
    """A side with all its rounds at one number of callers."""
    side = Side(name, "http://127.0.0.1:1/v1", "m", {"Authorization": "Bearer secret"})
    return Standing(side, {callers: Cell(callers, list(rounds))}, **changed)  # type: ignore[arg-type]


def failure(kind: Kind = Kind.SERVER, said: str = "HTTP 500: no") -> Failure:
    return Failure(kind, said, 1.0)


def report(*standings: Standing, rounds: int = 5, tokens: int = 10, done: int = 5) -> Report:
    callers = tuple(standings[0].cells)
    plan = Plan(callers, rounds=rounds, tokens=tokens)
    return reported(standings, plan, Machine(), PLACE, done)
