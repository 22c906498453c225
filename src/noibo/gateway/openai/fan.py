"""One caller's request as several of the engine's, and their answers told as one.

For what engines do not do: more choices than they have slots, lists of prompts, the best of many.
Each of the engine's requests has a lease of its own, so the queue stays fair, and none holds one
while it waits for another, so they cannot wait for each other. Choices of one prompt for which
slots are free are asked for together: engines that can read their prompt once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import msgspec

from noibo import settings
from noibo.engines.supervision.ticket import Ticket
from noibo.errors import NoiboError, QueueFull
from noibo.gateway.engine_events import counted, decoded, progress_events
from noibo.gateway.exchange import Exchange
from noibo.gateway.openai.asked import RANDOM, SEEDS, Asked
from noibo.gateway.openai.echoing import leads_of
from noibo.gateway.openai.gaps import filled
from noibo.gateway.pipeline import Pipeline, Request, Stream
from noibo.gateway.pulse import Pulse
from noibo.gateway.reply import Reply, header
from noibo.gateway.tokens import Tokens
from noibo.gateway.waiting import Waiting
from noibo.gateway.watching.record import current
from noibo.wire import body, openai, sse
from noibo.wire.management import CUT_HEADER, MODEL_HEADER
from noibo.wire.openai.shape import Told

_DONE = sse.event(sse.DONE)
Tell = Callable[[Ticket], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Some choices of one prompt: `choices` of them, from number `first` on."""

    request: Request
    prompt: int
    first: int
    choices: int

    def asked(self, seed: int | None) -> Request:
        """What the engine is asked. Each choice has a seed of its own."""
        fields = dict(self.request.fields)
        if seed is not None and seed != RANDOM:
            fields["seed"] = body.raw((seed + self.first) % SEEDS)
        return replace(self.request, fields=fields, choices=self.choices)

    def rest(self, taken: int) -> Part:
        """What is left when some are taken."""
        return replace(self, first=self.first + taken, choices=self.choices - taken)

    def single(self) -> list[Part]:
        """Its choices, one by one."""
        return [
            replace(self, first=self.first + number, choices=1) for number in range(self.choices)
        ]


def parts_of(asked: Asked) -> list[Part]:
    """A part for each prompt."""
    usual = replace(asked.request, streamed=False)
    if asked.shape.chat:
        return [Part(usual, 0, 0, asked.shape.drawn)]
    if asked.shape.silent:  # engines write one token at least
        usual = replace(usual, fields=usual.fields | {"max_tokens": body.raw(1)})
    if len(asked.prompts) > 1:  # what was cut is said of an answer, and not of each of its choices
        usual = replace(usual, wish=replace(usual.wish, whole=True))
    return [
        Part(
            replace(usual, fields=usual.fields | {"prompt": body.raw(prompt)}),
            number,
            0,
            asked.shape.drawn,
        )
        for number, prompt in enumerate(asked.prompts)
    ]


def _silent(ticket: Ticket) -> None:
    """For waits that nobody is told of."""


class Fan(Exchange):
    """A response that is put together from several answers of the engine."""

    def __init__(self, pipeline: Pipeline, queue: settings.Queue, asked: Asked) -> None:
        super().__init__(openai.Voice())
        self._pipeline = pipeline
        self._queue = queue
        self._asked = asked
        self._left: deque[Part] = deque()
        self._told = Told(asked.shape)
        self._seed = body.field(asked.request.fields, "seed", int)
        self._tokens: Tokens | None = None
        self._begun = False

    async def answer(self, reply: Reply) -> None:
        """Ask part by part, as many at a time as there are slots; tell all of it."""
        streamed = self._told.shape.streamed
        self._told.leads = await leads_of(self._pipeline, self._asked)
        with (
            Waiting(reply, self._queue.say_after_s, streamed=streamed) as waiting,
            contextlib.ExitStack() as begun,
        ):
            self._left.extend(parts_of(await filled(self._pipeline, self._asked, waiting.told)))
            while self._left:
                try:
                    async with asyncio.TaskGroup() as helpers:
                        await self._lead(reply, waiting, helpers, begun)
                except ExceptionGroup as group:
                    raise _first(group) from group
        if not streamed:
            echoes = bool(self._told.leads)  # which may be long
            whole = await asyncio.to_thread(self._whole) if echoes else self._whole()
            await reply.whole(200, whole)
            return
        if last := self._told.last():
            await reply.say(sse.event(msgspec.json.encode(last)))
        current().keep()
        await reply.say(_DONE)
        await reply.end()

    def _whole(self) -> bytes:
        return msgspec.json.encode(self._told.whole())

    async def _lead(
        self,
        reply: Reply,
        waiting: Waiting,
        helpers: asyncio.TaskGroup,
        begun: contextlib.ExitStack,
    ) -> None:
        """The first part, whose wait the caller is told; then whatever is left."""
        while self._left:
            part = self._left.popleft()
            told: Tell = _silent if self._begun else waiting.told
            async with self._open(part, told) as stream:
                if not self._begun:
                    self._begun = True
                    await waiting.over()
                    await self._begin(stream, reply, begun)
                    for _ in range(min(len(self._left), stream.worker.slots - 1)):
                        helpers.create_task(self._help(reply))
                await self._hear(part, stream, reply)

    async def _begin(self, stream: Stream, reply: Reply, begun: contextlib.ExitStack) -> None:
        reply.headers.append(header(MODEL_HEADER, stream.name))
        if stream.cut is not None:  # the same for all choices: of several prompts none is cut
            reply.headers.append(header(CUT_HEADER, stream.cut.header()))
            self._told.about = stream.cut.member()
        if self._told.shape.streamed:
            await reply.begin_stream()
            begun.enter_context(Pulse(reply, self._queue.alive_s, self._words))

    async def _help(self, reply: Reply) -> None:
        """Whatever is left, side by side with the first. Where the queue has no room for more of
        this caller's requests, they go one after the other."""
        while self._left:
            part = self._left.popleft()
            try:
                async with self._open(part) as stream:
                    await self._hear(part, stream, reply)
            except QueueFull:
                self._left.appendleft(part)
                return

    @contextlib.asynccontextmanager
    async def _open(self, part: Part, told: Tell = _silent) -> AsyncIterator[Stream]:
        async with self._pipeline.open(part.asked(self._seed), told) as stream:
            if stream.response.status != 200:
                raise stream.upstream.refusal(stream.response, await stream.beginning())
            if part.choices > stream.choices:
                rest = part.rest(stream.choices)
                self._left.extendleft([rest] if stream.engine.several else reversed(rest.single()))
            yield stream

    async def _hear(self, part: Part, stream: Stream, reply: Reply) -> None:
        tokens = self._tokens = stream.tokens
        async for block in counted(stream.worker, stream.chunks, tokens):
            events = decoded(stream.worker, block)
            chunks = [self._told.chunk(event, part.prompt, part.first) for event in events]
            if self._told.shape.streamed:
                said = [sse.event(msgspec.json.encode(chunk)) for chunk in chunks if chunk]
                if part.request.wants_progress:
                    said.append(progress_events(stream.worker, block))
                await reply.say(b"".join(said))

    def _words(self) -> str:
        return self._tokens.words() if self._tokens else "alive"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, of what has words for the caller."""
    leaves = list(_leaves(group))
    return next((one for one in leaves if isinstance(one, NoiboError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found
