"""Who sends a request, and how urgent it is by its own word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from noibo.access.grant import EVERYTHING, Grant
from noibo.access.user import LOCAL as ONE_OWNER
from noibo.engines.supervision.claim import LOCAL, Priority
from noibo.errors import InvalidRequest
from noibo.gateway.access.identity import Identity
from noibo.gateway.window.policy import Policy, by_header
from noibo.wire.management import PRIORITY_HEADER

_PRIORITIES: Final = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller with one request. `owner` is whose everything is that this caller stores, and all
    that it can see of what is stored; `grant` is what it may; `by` the key or user it came with,
    empty for who is on this machine. `context`: what becomes of a request that is too long."""

    name: str = LOCAL
    priority: Priority = Priority.INTERACTIVE
    owner: str = ONE_OWNER
    grant: Grant = EVERYTHING
    by: str = ""
    context: Policy | None = None

    @classmethod
    def of(cls, request: HTTPConnection) -> Caller:
        """The caller, as the doorman found who it is. The one place that decides it."""
        who = Identity.of(request.scope)
        priority, context = _priority(request.headers), by_header(request.headers)
        return cls(who.name, priority, who.owner, who.grant, who.by, context)


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
