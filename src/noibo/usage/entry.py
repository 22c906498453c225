"""One call of a model, as the ledger keeps it: who, what, by which way, how long, at what cost."""

from __future__ import annotations

import functools
import itertools
import secrets
from typing import Final, Literal

import msgspec

from noibo.usage.tokens import NOTHING, Tokens

# ok: to its end. cut: it broke off on the way. cancelled: by the caller. failed: before the first
# byte. lost: this server ended before it could say.
Outcome = Literal["ok", "cut", "cancelled", "failed", "lost"]
# Where a cost is from: the provider's own word; tokens × prices; this machine's electricity and
# wear; the most that it can have been; nowhere.
CostBy = Literal["provider", "prices", "machine", "bound", ""]


_NUMBERS: Final = itertools.count(1)


def new_id() -> str:
    """An id that no other call has: this process's, and a number. Those of one process follow each
    other, so that an index of them grows at its end; and each costs no random bytes."""
    return f"{_process()}{next(_NUMBERS):08x}"


@functools.cache
def _process() -> str:
    return secrets.token_hex(8)


class UsageEntry(msgspec.Struct, frozen=True):
    """One call. A request has several where one model was asked after another; they share
    `request`. `asked` is the name that the caller used, `model` the one that answered; `route` and
    `reasons` are the router's. `local`: on this machine; else `destination` is where. `cost` is in
    billionths of a dollar, None where it is unknown: never 0 for that."""

    id: str
    request: str
    at: float
    owner: str
    model: str
    key: str = ""
    asked: str = ""
    route: str = ""
    reasons: tuple[str, ...] = ()
    local: bool = True
    destination: str = ""
    tokens: Tokens = NOTHING
    first_ms: int | None = None
    total_ms: int | None = None
    cost: int | None = None
    cost_by: CostBy = ""
    label: str = ""
    outcome: Outcome = "ok"
