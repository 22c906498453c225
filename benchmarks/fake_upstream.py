"""A server that answers every chat at once with the same bytes, so that only what is in front of it
takes time. A stream is 64 chunks, each written by itself.

`python -m benchmarks.fake_upstream PORT`
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, cast

import uvloop

CHUNKS = 64
WORDS = [f"word{i} " for i in range(CHUNKS - 1)]
TEXT = "".join(WORDS)
KEY = "sk-upstream"
_HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "mock"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": CHUNKS, "total_tokens": 9 + CHUNKS}


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps(
        {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    said: dict[str, Any] = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


WHOLE = _whole()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STREAM = [_chunk(_event({"content": word})) for word in WORDS]
STREAM.append(_chunk(_event({}, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection. Of a request it reads the length, the key, and whether it is a stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, blank, body = self._heard.partition(b"\r\n\r\n")
        if not blank:
            return
        lower = head.lower()
        _, _, after = lower.partition(b"content-length:")
        length = int(after.partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._heard = body[length:]
        asked = body[:length].replace(b" ", b"")
        if KEY.encode() not in head:
            self._transport.write(REFUSED)
        elif b'"stream":true' in asked:
            self._transport.write(STREAM_HEAD)
            self._loop.call_soon(self._next, 0)
        else:
            self._transport.write(WHOLE)

    def _next(self, number: int) -> None:
        """One chunk, in a turn of the loop of its own: else the loop would send several as one."""
        self._transport.write(STREAM[number])
        if number + 1 < len(STREAM):
            self._loop.call_soon(self._next, number + 1)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
