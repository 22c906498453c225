"""Routes whose bodies FastAPI decodes, held to the same rules as those that read their own: up to
the limit, and nothing that could be read in two ways."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from noibo.errors import InvalidRequest
from noibo.gateway.off_loop import off_loop
from noibo.gateway.reading import read_body
from noibo.wire.body import read_fields


class StrictRoute(APIRoute):
    """A route that looks at its body before FastAPI does. `most`: bytes of one."""

    most: ClassVar[int | None] = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def look_first(request: Request) -> Response:
            if self.body_field is None:
                return await answer(request)
            body = await read_body(request, self.most)
            if body:
                await off_loop(len(body), _require_clear, body)
            return await answer(Request(request.scope, _again(body, request.receive)))

        return look_first


class SmallRoute(StrictRoute):
    """For bodies that are a few words: anybody may try to sign in."""

    most = 64 * 2**10


def _require_clear(body: bytes) -> None:
    """Raise `InvalidRequest` for what can be read in two ways. What is clear and no object, FastAPI
    refuses with the name of what it expects."""
    try:
        read_fields(body)
    except InvalidRequest as error:
        if not isinstance(error.__cause__, msgspec.ValidationError):
            raise


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be received once more; what comes after it is as it was."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
