"""The shapes of our own API under `/noibo/v1/`. Shared by the gateway and the client."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

ROOT: Final = "/noibo/v1"
# In NOIBO_HOME while a server runs: where it is. Clients find it by this.
STATE_FILE: Final = "server.json"
# A page in a browser cannot send this without our leave (CORS), so it cannot stop workers.
GUARD_HEADER: Final = "X-Noibo-Client"
# `batch` goes after everything that is not.
PRIORITY_HEADER: Final = "X-Noibo-Priority"
Urgency = Literal["interactive", "batch"]
# The model that answers.
MODEL_HEADER: Final = "X-Noibo-Model"
# Of a request: what becomes of it where it is longer than its model's window. Of an answer: the
# context that its request has, where that asked for more.
CONTEXT_HEADER: Final = "X-Noibo-Context"
# What was cut of a request.
CUT_HEADER: Final = "X-Noibo-Cut"
# What a request is at least, of privacy.labels. Of an answer: what became of it, and how a virtual
# model chose who answers.
LABEL_HEADER: Final = "X-Noibo-Label"
RECEIPT_HEADER: Final = "X-Noibo-Receipt"
ROUTE_HEADER: Final = "X-Noibo-Route"
WHY_HEADER: Final = "X-Noibo-Route-Why"
RECEIPTS: Final = f"{ROOT}/receipts"  # and the id of a request: the whole of its receipt
# How a request stands in the queue, or how long it waited there.
QUEUE_HEADER: Final = "X-Noibo-Queue"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers at an address. `pid` and `home` are told on its own machine only."""

    noibo: str
    pid: int | None
    started_at: float
    default_model: str
    offline: bool
    home: str | None


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker. `verb` is what it is there for. Bytes: `memory_bytes` it holds now, `peak_bytes`
    the most it held, `predicted_bytes` what was expected of it before it was loaded.

    Tokens are counted since it started: `tokens_in` of prompts, `tokens_reused` of these taken from
    kept state, `tokens_out` written. `keep_until` is when it will be unloaded; None: not by time.
    """

    model: str
    verb: str
    engine: str
    state: str
    note: str
    pid: int | None
    requests: int
    slots: int
    slots_busy: int | None
    started_at: float
    ready_at: float | None
    used_at: float
    keep_until: float | None
    pinned: bool
    memory_bytes: int
    peak_bytes: int
    predicted_bytes: int
    tokens_in: int
    tokens_reused: int
    tokens_out: int
    placement: dict[str, Any]

    @property
    def seat(self) -> str:
        """Its model, and what it is there for where that is not to write."""
        return self.model if self.verb == "generate" else f"{self.model} ({self.verb})"


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request that waits: its place among those for the same model, and how long it may take.

    `why`: queue (all slots are taken), loading, memory (another model has its turn).
    """

    model: str
    caller: str
    priority: str
    place: int
    why: str
    waited_s: float
    expected_s: float | None


class AnsweringRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is being answered."""

    model: str
    caller: str
    priority: str
    for_s: float


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who waits, who is answered, and the memory this happens in, in bytes."""

    waiting: list[WaitingRow]
    answering: list[AnsweringRow]
    longest: int
    budget_bytes: int
    held_bytes: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did, in a sentence."""

    done: str
