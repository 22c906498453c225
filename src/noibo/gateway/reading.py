"""The body of a request, up to the limit, and what is made of it: the one way in for every API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from noibo.errors import BodyEncoded, BodyTooLarge
from noibo.gateway.intake import SMALL, Share
from noibo.gateway.off_loop import off_loop
from noibo.gateway.services import services_of
from noibo.gateway.watching.record import current
from noibo.privacy.walk import OWN
from noibo.wire import body
from noibo.wire.body import Fields

Read = TypeVar("Read")
BODY: Final = "noibo.body"  # in a scope: what has been read of it already


async def read_fields(request: Request) -> Fields:
    """The fields of a JSON body. Raises `InvalidRequest`, `BodyTooLarge`, `ClientDisconnect`."""
    fields = await read(request, body.read_fields)
    if OWN in fields:  # for noibo alone, whatever the API
        current().own = fields.pop(OWN)
    return fields


async def read(request: Request, work: Callable[[bytes], Read]) -> Read:
    """What `work` makes of the body; of a large one not on the event loop."""
    text = await read_body(request)
    return await off_loop(len(text), work, text)


async def read_body(request: Request, most: int | None = None) -> bytes:
    """The body, up to `most` or the limit. Raises `BodyTooLarge`, `BodyEncoded`, `QueueFull`,
    `ClientDisconnect`."""
    if (known := request.scope.get(BODY)) is not None:  # it was read before, to be looked at
        return bytes(known)
    services = services_of(request)
    limit = services.settings.server.max_body_bytes
    if most is not None:
        limit = min(most, limit)
    said = request.headers.get("content-length", "")
    if (packed := request.headers.get("content-encoding", "identity")) != "identity":
        raise BodyEncoded(
            f"The request body is packed ({packed[:40]}).", next_step="Send it without."
        )
    found = bytearray()
    share: Share | None = None
    may_be_read = not (said.isdecimal() and int(said) > limit)
    while may_be_read:  # request.stream() is a generator: no need of one
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        found += message.get("body", b"")
        if len(found) > limit:
            break
        if len(found) > SMALL and request.scope["server"]:  # not of a batch
            share = share or services.intake.share()
            share.grow(len(found))
        if not message.get("more_body", False):
            return bytes(found)
    raise BodyTooLarge(
        f"The request body is larger than {limit} bytes.",
        next_step="Send less." if most else "Send less, or raise server.max_body_bytes.",
    )
