"""Servers elsewhere for tests: loopback servers that say byte by byte what a test wants, and the
way to them without a server of noibo's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from noibo import settings
from noibo.engines.engine import Model, Speed
from noibo.engines.memory.size import Use
from noibo.engines.ollama.adapter import Ollama
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.reached import Reached
from noibo.engines.upstream import Upstream, new_session
from noibo.model_settings import ModelSettings

CHAT = "/v1/chat/completions"
LIMITS = settings.Engine(answer_stall_s=2.0, ctx_size=1024)  # that is for engines of ours


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Peer:
    """A server that answers by script. `answers` is called for each request with what came and a
    writer; it may write anything, or nothing."""

    answers: Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
    asked: list[Asked] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split()
            headers = dict(one.split(": ", 1) for one in head[1:] if one)
            length = int(headers.get("Content-Length", 0))
            said = await reader.readexactly(length)
            asked = Asked(method, path, headers, json.loads(said) if said else None)
            self.asked.append(asked)
            await self.answers(asked, writer)
            await writer.drain()

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


@contextlib.asynccontextmanager
async def peer(
    answers: Callable[[Asked, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Peer]:
    made = Peer(answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next turn of the loop


def whole(status: int, body: Any, **headers: str) -> bytes:
    """An answer with a length."""
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\n{more}\r\n"
    return head.encode() + said


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of an answer without a length; an empty one ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@contextlib.asynccontextmanager
async def upstream(
    engine: type[Remote], url: str, model: str = "near", **own: Any
) -> AsyncIterator[Upstream]:
    """noibo's way to a model there."""
    kind = "ollama" if engine is Ollama else "remote"
    table = {model: ModelSettings(engine=kind, base_url=url, **own)}  # type: ignore[arg-type]
    adapter = engine(table)
    described = Model(model, kind, format=kind)
    size = adapter.sizes(described, LIMITS, Use(), 0)[0]
    worker = Reached(adapter, described, adapter.launch(described, size, LIMITS, Speed()), LIMITS)
    await worker.start()
    async with new_session(keeps=True) as session:
        yield Upstream(worker, session)


@contextlib.asynccontextmanager
async def reached(
    answers: Callable[[Asked, asyncio.StreamWriter], Awaitable[None]],
    engine: type[Remote] = Remote,
    **own: Any,
) -> AsyncIterator[tuple[Peer, Upstream]]:
    """A server that answers so, and the way to it."""
    async with peer(answers) as there:
        url = there.url if engine is Ollama else f"{there.url}/v1"
        async with upstream(engine, url, **own) as up:
            yield there, up


def raw(**fields: Any) -> dict[str, msgspec.Raw]:
    """The fields of a body, undecoded."""
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


HELLO = [{"role": "user", "content": "Say hello."}]


async def said(up: Upstream, path: str = CHAT, **fields: Any) -> tuple[int, bytes]:
    """The status and all bytes of an answer."""
    body = raw(**({"messages": HELLO} if path == CHAT else {}) | fields)
    async with up.generate(path, body) as response:
        return response.status, b"".join([piece async for piece in up.chunks(response)])
