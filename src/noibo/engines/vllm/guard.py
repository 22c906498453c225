"""Who asks vLLM's server needs the worker's key at every path: vLLM itself asks for it below some
only, and everybody on this machine can reach the port.

It runs in vLLM's process, before all else there, and so imports nothing of noibo's.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

OPEN = "/health"
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Guard:
    """Middleware (ASGI), as vLLM's `--middleware` wants it."""

    def __init__(self, app: _App) -> None:
        self._app = app
        self._wanted = b"Bearer " + os.environ["VLLM_API_KEY"].encode()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in {"http", "websocket"} or self._lets_in(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"error":{"message":"No key."}}'})

    def _lets_in(self, scope: _Message) -> bool:
        if scope["path"] == OPEN:
            return True
        said = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(said) == 1 and hmac.compare_digest(said[0], self._wanted)
