"""A request that this server asks of itself: the same code as over HTTP, without a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from starlette.types import ASGIApp, Message

from noibo.gateway.access.identity import Identity
from noibo.gateway.callers import Caller
from noibo.privacy.judgement import HEADER
from noibo.wire.management import PRIORITY_HEADER

log = logging.getLogger(__name__)


async def ask(
    app: ASGIApp, path: str, body: bytes, caller: Caller, label: str = ""
) -> tuple[int, Mapping[str, str], bytes]:
    """Post `body` for a caller; the answer's status, headers and body. `label`: what was said of
    it. Cancelling it ends the work."""
    said = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        PRIORITY_HEADER: caller.priority.name.lower(),
        **({HEADER: label} if label else {}),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in said.items()],
        "client": (caller.name, 0),
        "server": None,
    }
    who = Identity(caller.name, caller.owner, caller.grant, caller.by, "Who asked for this")
    who.put(scope)
    answer = _Answer(body)
    try:
        await app(scope, answer.receive, answer.send)
    except Exception:  # what answers 500 raises it again, for a server to log
        log.exception("a line for %s failed", path)
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # an exchange that is cancelled answers that it was
    return answer.status, answer.headers, bytes(answer.body)


class _Answer:
    """Both ends of one exchange."""

    def __init__(self, request: bytes) -> None:
        self._request: bytes | None = request
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.Event().wait()  # this caller never leaves
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        for name, value in message.get("headers", ()):
            self.headers[name.decode().lower()] = value.decode()
        self.body += message.get("body", b"")
