"""The one path of a request, without HTTP.

    resolve the model → wait for a slot of a ready worker → the engine's dialect → the context
    contract → leave, where the model is not on this machine (`leaving`) → an open stream

Which model of a virtual one is asked is decided before it (`routed`): each attempt comes this way.
Nothing is served any other way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from noibo.engines import asking, line
from noibo.engines.engine import FORMS, Engine, Model, Verb
from noibo.engines.remote.clearance import Clearance
from noibo.engines.supervision import keep_alive
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.lease import Lease
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.supervision.ticket import NotAnswered, Ticket
from noibo.engines.upstream import Upstream
from noibo.engines.worker import Worker
from noibo.errors import InvalidRequest, NoiboError, WorkerDied
from noibo.gateway.callers import Caller
from noibo.gateway.parts import require_readable
from noibo.gateway.routed.attempt import ATTEMPT
from noibo.gateway.tokens import Tokens
from noibo.gateway.watching.record import Record, current
from noibo.gateway.window.cut import Cut
from noibo.gateway.window.fitting import Fitting
from noibo.gateway.window.policy import Policies, Policy, Wish
from noibo.gateway.window.prompts import ask_of_chat
from noibo.privacy.walk import OWN
from noibo.wire import body
from noibo.wire.body import Fields, Json
from noibo.wire.completion import bound_probs
from noibo.wire.openai.format import require_one

KEEP_ALIVE = "keep_alive"
LONGEST_ERROR = 2**16
_COUNT = "stream_options"  # asks for what an answer took, in the stream's last event


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a generation, parsed once. `keep_alive` is in seconds; None: as it is set.
    `choices` is how many answers to it are wanted at once, if there are slots for them. `made_of`:
    fields that the caller's were made into, each with the caller's. `foreign`: its model, where
    that is another server's: it goes there as it is, unchecked, in OpenAI's shape.
    `wish`: what it says of being too long."""

    path: str
    fields: Fields
    model: str
    streamed: bool
    wants_progress: bool
    caller: Caller
    keep_alive: float | None
    foreign: Model | None = None
    choices: int = 1
    made_of: Mapping[str, str] = field(default_factory=dict)
    wish: Wish = Wish()

    @classmethod
    def parse(cls, path: str, text: bytes, caller: Caller = Caller()) -> Request:
        """Read only what a decision needs; everything else stays bytes."""
        fields = body.read_fields(text)
        if OWN in fields:
            current().own = fields.pop(OWN)
        return cls.of(path, fields, caller)

    @classmethod
    def of(
        cls, path: str, fields: Fields, caller: Caller = Caller(), foreign: Model | None = None
    ) -> Request:
        """A request by the fields of its body, from which those are taken that are noibo's own."""
        kept = body.field(fields, KEEP_ALIVE, Any)
        fields.pop(KEEP_ALIVE, None)  # ours, not the engine's
        return cls(
            path=path,
            fields=fields,
            model=body.field(fields, "model", str, ""),
            streamed=body.field(fields, "stream", bool, False),
            wants_progress=body.field(fields, "return_progress", bool, False),
            caller=caller,
            keep_alive=None if kept is None else keep_alive.parse(kept, KEEP_ALIVE),
            foreign=foreign,
        )

    @property
    def chat(self) -> bool:
        return self.path.endswith("/chat/completions")

    def claim(self, model: Model) -> Claim:
        """What it asks of the supervisor."""
        return Claim(model.base, self.caller.name, self.caller.priority, self.keep_alive)

    def errand(self, verb: Verb) -> Errand:
        """What else its model is asked for it."""
        return Errand(verb, self.model, self.caller, self.keep_alive)


@dataclass(frozen=True, slots=True)
class Errand:
    """One request for anything else than a generation: one question, one answer in JSON."""

    verb: Verb
    model: str
    caller: Caller = Caller()
    keep_alive: float | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An open answer: which worker gives it, after what wait, and the engine's bytes. `tokens` is
    told of them by who reads them. `name` is of what answers, perhaps an adapter of the model;
    `choices` is how many answers it holds, of those that were wanted. `cut`: what of the request
    the model does not read; `counts`: it ends with a count that the caller has not asked for."""

    upstream: Upstream
    response: line.Response
    chunks: AsyncIterator[bytes]
    tokens: Tokens
    name: str
    waited_s: float = 0.0
    choices: int = 1
    cut: Cut | None = None
    counts: bool = False

    @property
    def worker(self) -> Worker:
        return self.upstream.worker

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
    session: line.Session
    foreign_session: line.Session | None = None
    policies: Policies = Policies()
    clearance: Clearance | None = None

    def is_outside(self, model: Model) -> bool:
        """True for one that is asked beyond this machine."""
        place = getattr(self.supervisor.engine(model.engine), "place", None)
        return place is not None and bool(place(model.name).outside)

    def expect(self, model: Model) -> None:
        """It is going to be asked."""
        if self.clearance is not None and self.is_outside(model):
            self.clearance.expect()

    def upstream(self, worker: Worker, lease: Lease | None = None) -> Upstream:
        """A worker, to be talked to; by its lease one elsewhere may be left in peace meanwhile."""
        foreign = self.foreign_session if worker.engine.foreign else None
        return Upstream(worker, foreign or self.session, lease, self.clearance)

    def open(
        self, request: Request, told: Callable[[Ticket], None] = lambda ticket: None
    ) -> contextlib.AbstractAsyncContextManager[Stream]:
        """The answer's stream; `told` is called if it has to wait. Leaving it cancels the work."""
        if request.foreign is not None:
            return HandedOn(self, request, request.foreign, told)
        return self._opened(request, told)

    @contextlib.asynccontextmanager
    async def _opened(
        self, request: Request, told: Callable[[Ticket], None]
    ) -> AsyncIterator[Stream]:
        model = await self.resolve(request.model)
        record = current()
        record.asks(model, request.model)
        self.expect(model)
        await self._check(request, model)
        async with contextlib.AsyncExitStack() as leaving:
            try:
                stream = await self._ask(request, model, told, leaving)
            except WorkerDied as died:
                if died.asked:
                    raise
                await leaving.aclose()
                stream = await self._ask(request, model, told, leaving)
            try:
                yield stream
            finally:
                record.answered(stream.tokens, stream.waited_s)
            if stream.response.status != 200:
                raise NotAnswered

    @contextlib.asynccontextmanager
    async def worker(
        self, errand: Errand, told: Callable[[Ticket], None] = lambda ticket: None
    ) -> AsyncIterator[Upstream]:
        """A worker that does the errand's verb, to be asked as often as it takes. Text that is only
        tokenised needs no slot."""
        model = await self.resolve(errand.model)
        record = current()
        record.asks(model, errand.model)
        self.expect(model)
        model = self.supervisor.engine(model.engine).serving(model, errand.verb)
        claim = Claim(
            model,
            errand.caller.name,
            errand.caller.priority,
            errand.keep_alive,
            answers=errand.verb is not Verb.TOKENISE,
        )
        lease = self.supervisor.lease(claim, _telling(record, told))
        async with lease as worker:
            yield self.upstream(worker, lease)

    async def ask_of_chat(
        self,
        errand: Errand,
        path: str,
        fields: Fields,
        told: Callable[[Ticket], None] = lambda ticket: None,
    ) -> tuple[str, Json]:
        """The name of the model, and what its template makes of a chat: the text, or how many
        tokens it has. The chat is held to what one that is answered is held to."""
        model = await self.resolve(errand.model)
        chat = dict(fields)
        await require_readable(chat, model)
        asking.apply(model.defaults, chat, chat=True)
        async with self.worker(errand, told) as upstream:
            return model.called, await ask_of_chat(upstream, path, chat)

    async def _check(self, request: Request, model: Model) -> None:
        """Raise `InvalidRequest` for what engines would pass over, or not keep to."""
        foreign = self.supervisor.engine(model.engine).foreign
        if request.chat and not foreign:
            await require_readable(request.fields, model)
        bound_probs(request.fields)
        if any(name in request.fields for name in FORMS):
            await self._constrain(request, model)

    async def _constrain(self, request: Request, model: Model) -> None:
        """Say the form of the answer as the engine keeps to it. What it cannot keep to is refused
        with the name of the field that the caller sent."""
        require_one(request.fields)
        engine = self.supervisor.engine(model.engine)
        try:
            await asyncio.to_thread(engine.constrain, request.fields, model)
        except InvalidRequest as error:
            said = request.made_of.get(error.param or "")
            if said is None:
                raise
            message = error.message.replace(f"{error.param}:", f"{said}:", 1)
            raise InvalidRequest(message, param=said, next_step=error.next_step) from error

    async def _ask(
        self,
        request: Request,
        model: Model,
        told: Callable[[Ticket], None],
        leaving: contextlib.AsyncExitStack,
    ) -> Stream:
        tell = _telling(current(), told)
        lease = self.supervisor.lease(request.claim(model), tell)
        worker = await leaving.enter_async_context(lease)
        upstream = self.upstream(worker, lease)
        cut = request.wish.cut
        choices, fields = await self._prepared(request, model, worker, leaving)
        attempt = ATTEMPT.get()
        if fitted := await self._fitting(request, model).fit(upstream, fields):
            cut = fitted.after(cut)
        response = await leaving.enter_async_context(upstream.generate(request.path, fields))
        tokens, chunks = _heard(upstream, model), upstream.chunks(response)
        if attempt is not None and response.status == 200:
            chunks = attempt.heard(chunks, chat=request.chat, streamed=True)
        counts = request.streamed and _COUNT in fields and _COUNT not in request.fields
        name, waited_s = model.called, lease.waited_s
        return Stream(upstream, response, chunks, tokens, name, waited_s, choices, cut, counts)

    def policy(self, request: Request, model: Model, wish: Wish) -> Policy:
        """What becomes of it where it is too long."""
        return self.policies.choose(request.caller.context, wish, model.name)

    def _fitting(self, request: Request, model: Model) -> Fitting:
        """How it is held to the window of whoever answers it."""
        policy = self.policy(request, model, request.wish)
        return Fitting(policy, request.chat, request.made_of, request.wish.whole)

    async def _prepared(
        self,
        request: Request,
        model: Model,
        worker: Worker,
        leaving: contextlib.AsyncExitStack,
    ) -> tuple[int, Fields]:
        """How many answers it is asked for at once, and the fields in the engine's dialect."""
        fields = dict(request.fields)
        if worker.launch.dialect is not None:  # its server goes by names; the caller's may be any
            fields["model"] = body.raw(model.called)
        choices = 1
        if request.choices > 1 and worker.engine.several:
            choices += await self._more(request, worker, leaving)
            fields["n"] = body.raw(choices)
        if (attempt := ATTEMPT.get()) is not None:
            attempt.ask(fields, chat=request.chat)
        asking.apply(worker.model.defaults, fields, chat=request.chat)
        worker.engine.prepare(fields, streamed=request.streamed)
        return choices, fields

    async def _more(
        self, request: Request, worker: Worker, leaving: contextlib.AsyncExitStack
    ) -> int:
        """Further leases of the worker, as many as are wanted and to be had without waiting: who
        holds one must not wait for another."""

        def decline(ticket: Ticket) -> None:
            raise _NoneFree

        for found in range(request.choices - 1):
            try:
                lease = self.supervisor.lease(request.claim(worker.model), decline)
                await leaving.enter_async_context(lease)
            except (_NoneFree, NoiboError):
                return found
        return request.choices - 1


class HandedOn:
    """The stream of a request that goes to a foreign engine as it is. A class and no generator, as
    a lease."""

    __slots__ = ("_generation", "_lease", "_model", "_pipeline", "_record", "_request", "_stream")

    def __init__(
        self, pipeline: Pipeline, request: Request, model: Model, told: Callable[[Ticket], None]
    ) -> None:
        self._pipeline = pipeline
        self._request = request
        self._model = model
        self._record = current()
        tell = _telling(self._record, told)
        self._lease = pipeline.supervisor.lease(request.claim(model), tell)

    async def __aenter__(self) -> Stream:
        self._record.asks(self._model, self._request.model)
        self._pipeline.expect(self._model)
        worker = await self._lease.__aenter__()
        upstream = self._pipeline.upstream(worker, self._lease)
        request, attempt = self._request, ATTEMPT.get()
        fields = request.fields
        if attempt is not None:
            attempt.ask(fields := dict(fields), chat=request.chat)
        try:
            generation = self._generation = upstream.generate(request.path, fields)
            response = await generation.__aenter__()
        except BaseException as exc:
            await self._lease.__aexit__(type(exc))
            raise
        waited, chunks = self._lease.waited_s, upstream.chunks(response)
        if attempt is not None and response.status == 200:
            chunks = attempt.heard(chunks, chat=request.chat, streamed=request.streamed)
        tokens, name = _heard(upstream, self._model), self._model.name
        self._stream = Stream(upstream, response, chunks, tokens, name, waited)
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: object
    ) -> None:
        stream = self._stream
        if kind is None and stream.response.status != 200:
            kind = NotAnswered
        try:
            self._record.answered(stream.tokens, stream.waited_s)
            await self._generation.__aexit__(kind, exc, trace)
        finally:
            await self._lease.__aexit__(kind)


def _heard(upstream: Upstream, model: Model) -> Tokens:
    """What counts the tokens of an answer. Of one from elsewhere the border keeps account."""
    tokens = Tokens(upstream.worker)
    if upstream.worker.reach is None or not upstream.worker.reach.place.outside:
        current().heard.append((model, tokens))
    return tokens


def _telling(record: Record, told: Callable[[Ticket], None]) -> Callable[[Ticket], None]:
    """Tells the record of a wait, and who asked."""

    def tell(ticket: Ticket) -> None:
        record.waits(ticket)
        told(ticket)

    return tell


class _NoneFree(Exception):
    """A lease would have to be waited for."""
