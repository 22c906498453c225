"""Votes: whoever sent a request says whether its answer was good.

What there was to say of the answer before it was asked for is kept in memory for the last requests
that a virtual model sent to a model of this machine: whose it was, the model, the chance. No word
of it. A second vote on the same answer takes nothing back, and counts for nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from noibo.errors import NotFound
from noibo.gateway.access.identity import Identity
from noibo.gateway.routed.outcomes import VOTED
from noibo.routing.calibration import Outcome

MOST: Final = 4096
Vote = Literal["up", "down"]


Place = tuple[str, str, str]  # whose, by which key or user, which request


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that can be voted on: `p_raw` is the chance that the shipped weights gave it."""

    model: str
    p_raw: float


class Votes:
    """Of one server."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Place, Answered] = OrderedDict()

    def answered(self, request: str, who: Identity, answer: Answered) -> None:
        """From now on there can be a vote on it."""
        place = who.owner, who.by, request
        self._answers[place] = answer
        self._answers.move_to_end(place)
        while len(self._answers) > MOST:
            self._answers.popitem(last=False)

    def take(self, request: str, who: Identity, vote: Vote) -> tuple[str, Outcome]:
        """The model that it is about, and what it says of that; once. Raises `NotFound`, also for
        the request of another: nobody learns here which there are."""
        found = self._answers.pop((who.owner, who.by, request), None)
        if found is None:
            raise NotFound(
                "There is no such answer of a local model to vote on, or its vote is in.",
                next_step="Send the header X-Request-Id of an answer to one of your own requests "
                "to a virtual model, as `auto`, while the server that gave it runs.",
            )
        return found.model, Outcome(found.p_raw, 1.0 if vote == "up" else 0.0, VOTED)
