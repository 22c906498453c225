"""The one path of a request, without HTTP.

    resolve the model → wait for a slot of a ready worker → the engine's dialect → an open stream

Privacy, documents, the context contract, routing, budgets and the ledger get their places between
these steps as they are built. Nothing is served any other way.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from noibo.engines import asking
from noibo.engines.engine import Engine, Model
from noibo.engines.supervision import keep_alive
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.supervision.ticket import NotAnswered, Ticket
from noibo.engines.upstream import Upstream
from noibo.engines.worker import Worker
from noibo.errors import WorkerDied
from noibo.gateway.callers import Caller
from noibo.wire import openai
from noibo.wire.openai import Fields

KEEP_ALIVE = "keep_alive"
LONGEST_ERROR = 2**16


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a generation, parsed once. `keep_alive` is in seconds; None: as it is set."""

    path: str
    fields: Fields
    model: str
    streamed: bool
    wants_progress: bool
    caller: Caller
    keep_alive: float | None

    @classmethod
    def parse(cls, path: str, body: bytes, caller: Caller = Caller()) -> Request:
        """Read only what a decision needs; everything else stays bytes."""
        fields = openai.read_fields(body)
        kept = openai.field(fields, KEEP_ALIVE, Any)
        fields.pop(KEEP_ALIVE, None)  # ours, not the engine's
        return cls(
            path=path,
            fields=fields,
            model=openai.field(fields, "model", str, ""),
            streamed=openai.field(fields, "stream", bool, False),
            wants_progress=openai.field(fields, "return_progress", bool, False),
            caller=caller,
            keep_alive=None if kept is None else keep_alive.parse(kept, KEEP_ALIVE),
        )

    @property
    def chat(self) -> bool:
        return self.path.endswith("/chat/completions")

    def claim(self, model: Model) -> Claim:
        """What it asks of the supervisor."""
        return Claim(model, self.caller.name, self.caller.priority, self.keep_alive)


@dataclass(frozen=True, slots=True)
class Stream:
    """An open answer: which worker gives it, and the engine's bytes."""

    worker: Worker
    response: aiohttp.ClientResponse
    chunks: AsyncIterator[bytes]

    @property
    def model(self) -> Model:
        return self.worker.model

    @property
    def engine(self) -> Engine:
        return self.worker.engine

    async def beginning(self) -> bytes:
        """What it says, as far as an error is worth reading."""
        said = bytearray()
        async for chunk in self.chunks:
            said += chunk
            if len(said) > LONGEST_ERROR:
                break
        return bytes(said[:LONGEST_ERROR])


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Joins the services that one request passes through."""

    resolve: Callable[[str], Awaitable[Model]]
    supervisor: Supervisor
    session: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def open(
        self, request: Request, told: Callable[[Ticket], None] = lambda ticket: None
    ) -> AsyncIterator[Stream]:
        """The answer's stream; `told` is called if it has to wait. Leaving it cancels the work."""
        model = await self.resolve(request.model)
        async with contextlib.AsyncExitStack() as leaving:
            try:
                stream = await self._ask(request, model, told, leaving)
            except WorkerDied as died:
                if died.asked:
                    raise
                await leaving.aclose()
                stream = await self._ask(request, model, told, leaving)
            yield stream
            if stream.response.status != 200:
                raise NotAnswered

    async def _ask(
        self,
        request: Request,
        model: Model,
        told: Callable[[Ticket], None],
        leaving: contextlib.AsyncExitStack,
    ) -> Stream:
        worker = await leaving.enter_async_context(
            self.supervisor.lease(request.claim(model), told)
        )
        fields = dict(request.fields)
        asking.apply(model.defaults, fields, chat=request.chat)
        worker.engine.prepare(fields, streamed=request.streamed)
        upstream = Upstream(worker, self.session)
        response = await leaving.enter_async_context(upstream.generate(request.path, fields))
        return Stream(worker, response, upstream.chunks(response))
