"""Who sends a request, and how urgent it is by its own word.

Callers are told apart by their key, else by their address. Of a key nothing is kept but the
beginning of its digest: enough to tell two apart, and no way back.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from noibo.engines.supervision.claim import LOCAL, Priority
from noibo.errors import InvalidRequest
from noibo.wire.management import PRIORITY_HEADER

ONE_OWNER: Final = "local"  # as long as keys are not checked
_PRIORITIES: Final = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller with one request. `owner` is whose everything is that this caller stores, and all
    that it can see of what is stored."""

    name: str = LOCAL
    priority: Priority = Priority.INTERACTIVE
    owner: str = ONE_OWNER

    @classmethod
    def of(cls, headers: Mapping[str, str], address: str | None) -> Caller:
        """The caller by the headers of a request and the address it came from; or for whom this
        server asks itself. The one place that decides it."""
        return _served.get() or cls(_name(headers, address), _priority(headers))

    @contextlib.contextmanager
    def asks(self) -> Iterator[None]:
        """Requests that this server makes inside, in this task, are this caller's. Nothing that
        comes over HTTP can say so."""
        before = _served.set(self)
        try:
            yield
        finally:
            _served.reset(before)


_served: ContextVar[Caller | None] = ContextVar("served", default=None)


def _name(headers: Mapping[str, str], address: str | None) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else ""
    key = key or headers.get("x-api-key", "").strip()
    if key:
        return "key:" + hashlib.sha256(key.encode()).hexdigest()[:8]
    return address or LOCAL


def _priority(headers: Mapping[str, str]) -> Priority:
    said = headers.get(PRIORITY_HEADER, "interactive").strip().lower()
    try:
        return _PRIORITIES[said]
    except KeyError:
        raise InvalidRequest(
            f"{PRIORITY_HEADER}: {said[:40]!r} is no priority.",
            param=PRIORITY_HEADER,
            next_step=f"Send `{PRIORITY_HEADER}: batch` for what can wait, or no such header.",
        ) from None
