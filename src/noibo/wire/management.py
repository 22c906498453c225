"""The shapes of our own API under `/noibo/v1/`. Shared by the gateway and the client."""

from __future__ import annotations

from typing import Any, Final

import msgspec

ROOT: Final = "/noibo/v1"
# In NOIBO_HOME while a server runs: where it is. Clients find it by this.
STATE_FILE: Final = "server.json"
# A page in a browser cannot send this without our leave (CORS), so it cannot stop workers.
GUARD_HEADER: Final = "X-Noibo-Client"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers at an address."""

    noibo: str
    pid: int
    started_at: float
    default_model: str
    offline: bool
    home: str


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One running worker."""

    model: str
    engine: str
    state: str
    note: str
    pid: int | None
    requests: int
    slots_busy: int | None
    started_at: float
    used_at: float
    memory_bytes: int
    placement: dict[str, Any]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did, in a sentence."""

    done: str
