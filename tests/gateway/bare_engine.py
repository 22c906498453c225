"""An engine that says whatever bytes a test wants: a real server, reached by the real pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web
from starlette.types import Message

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Engine, Model, Speed
from noibo.engines.memory.size import Size
from noibo.engines.remote.dialect import Dialect
from noibo.engines.supervision.claim import Claim
from noibo.engines.upstream import new_session
from noibo.engines.worker import State, Worker
from noibo.gateway.pipeline import Pipeline
from noibo.gateway.relay import Relay

PATH = "/v1/chat/completions"
CHUNK = {"id": "c", "choices": [{"index": 0, "delta": {"content": "xin"}, "finish_reason": None}]}
LAST = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


class Held:
    """A lease that need not wait."""

    keep_alive = None
    waited_s = 0.0

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __aenter__(self) -> Worker:
        return self._worker

    async def __aexit__(self, *_: object) -> None:
        """It is nobody else's."""


class OneWorker:
    """Leases a worker whose address is a server of the test's. `dialect`: how that is asked."""

    def __init__(
        self,
        url: str,
        engine: Engine | None = None,
        model: Model = Model("m", "echo"),
        dialect: Dialect | None = None,
        key: str = "",
    ) -> None:
        self._engine = engine or Echo()
        launch = Echo().launch(replace(model, options={}), Size(0, 4), settings.Engine(), Speed())
        launch = replace(launch, dialect=dialect)
        self.worker = Worker(self._engine, model, launch, settings.Engine())
        self.worker.url, self.worker.state = url, State.READY
        self.worker.key = key or self.worker.key

    def engine(self, name: str) -> Engine:
        return self._engine

    def lease(self, claim: Claim, told: object = None) -> Held:
        return Held(self.worker)


async def told(
    said: bytes,
    relay: Callable[[Pipeline], Relay],
    *,
    status: int = 200,
    kind: str = "text/event-stream",
    cut: int = 0,
) -> tuple[int, bytes]:
    """What a caller gets of an engine that answers with these bytes, in pieces of `cut`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": kind})
        await response.prepare(request)
        for at in range(0, len(said), cut or len(said) or 1):
            await response.write(said[at : at + (cut or len(said))])
        return response

    async def resolve(name: str) -> Model:
        return Model(name, "echo")

    async with listening(answer) as url:
        got, _, body = await through(OneWorker(url), relay, resolve)
    return got, body


@contextlib.asynccontextmanager
async def listening(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """The address of a server that answers chats so."""
    app = web.Application()
    app.router.add_post(PATH, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def through(
    supervisor: OneWorker,
    relay: Callable[[Pipeline], Relay],
    resolve: Callable[[str], Awaitable[Model]],
) -> tuple[int, dict[str, str], bytes]:
    """What a caller gets of a worker: status, headers, body."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async with new_session() as session:
        pipeline = Pipeline(resolve, supervisor, session)  # type: ignore[arg-type]
        await relay(pipeline)({"type": "http"}, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:])
