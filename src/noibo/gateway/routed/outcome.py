"""How an attempt ended without an answer: what that means for whoever would be asked next."""

from __future__ import annotations

from typing import Final

from noibo.errors import (
    BudgetExceeded,
    ContextExceeded,
    Forbidden,
    NoiboError,
    NoRoom,
    NotFound,
    NotSupported,
    QueueFull,
    ShuttingDown,
    Unauthorized,
    UpstreamSilent,
)
from noibo.routing.plan import Outcome

# A label, a price and the door say no to one model, and not to another.
_OF_ERROR: Final[dict[type[NoiboError], Outcome]] = {
    BudgetExceeded: Outcome.BUSY,
    QueueFull: Outcome.BUSY,
    NoRoom: Outcome.BUSY,
    ContextExceeded: Outcome.TOO_LONG,
    Forbidden: Outcome.FAILED,
    NotFound: Outcome.FAILED,
    NotSupported: Outcome.FAILED,
    UpstreamSilent: Outcome.SLOW,
}
_OF_STATUS: Final = {408: Outcome.SLOW, 429: Outcome.BUSY, 504: Outcome.SLOW}


def outcome_of(error: NoiboError | None, status: int) -> Outcome | None:
    """None: nobody else is asked. The caller left, or its own limits say so."""
    strict = isinstance(error, BudgetExceeded) and not error.answer_locally
    if strict or status == 499 or isinstance(error, ShuttingDown | Unauthorized):
        return None
    for kind, outcome in _OF_ERROR.items():
        if isinstance(error, kind):
            return outcome
    return _OF_STATUS.get(status, Outcome.REFUSED if status < 500 else Outcome.FAILED)
