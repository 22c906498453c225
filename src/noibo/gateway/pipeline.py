"""The one path of a request, without HTTP.

    resolve the model → a ready worker → the engine's dialect → an open stream

Privacy, documents, the context contract, routing, budgets and the ledger get their places between
these steps as they are built. Nothing is served any other way.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from noibo.engines import asking
from noibo.engines.engine import Engine, Model
from noibo.engines.supervisor import Supervisor
from noibo.engines.upstream import Upstream
from noibo.wire import openai
from noibo.wire.openai import Fields


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a generation, parsed once."""

    path: str
    fields: Fields
    model: str
    streamed: bool
    wants_progress: bool

    @classmethod
    def parse(cls, path: str, body: bytes) -> Request:
        """Read only what a decision needs; everything else stays bytes."""
        fields = openai.read_fields(body)
        return cls(
            path=path,
            fields=fields,
            model=openai.field(fields, "model", str, ""),
            streamed=openai.field(fields, "stream", bool, False),
            wants_progress=openai.field(fields, "return_progress", bool, False),
        )

    @property
    def chat(self) -> bool:
        return self.path.endswith("/chat/completions")


@dataclass(frozen=True, slots=True)
class Stream:
    """An open answer: which model gives it, and the engine's bytes."""

    model: Model
    engine: Engine
    response: aiohttp.ClientResponse


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Joins the services that one request passes through."""

    resolve: Callable[[str], Awaitable[Model]]
    supervisor: Supervisor
    session: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        """The answer's stream. Leaving it early cancels the work."""
        model = await self.resolve(request.model)
        async with self.supervisor.lease(model) as worker:
            fields = dict(request.fields)
            asking.apply(model.defaults, fields, chat=request.chat)
            worker.engine.prepare(fields, streamed=request.streamed)
            async with Upstream(worker, self.session).generate(request.path, fields) as response:
                yield Stream(model, worker.engine, response)
