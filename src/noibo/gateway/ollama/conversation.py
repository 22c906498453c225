"""One `/api/chat` or `/api/generate`, from what was asked to the answer."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Final

from noibo.engines.engine import Model, Verb
from noibo.engines.ollama.adapter import Ollama
from noibo.engines.ollama.dialect import LOAD
from noibo.engines.supervision.claim import Claim
from noibo.engines.thinking import Thinking
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, ModelNotFound
from noibo.gateway.callers import Caller
from noibo.gateway.exchange import Exchange
from noibo.gateway.off_loop import off_loop
from noibo.gateway.ollama import prompts, room
from noibo.gateway.ollama.asked import Asked
from noibo.gateway.ollama.teller import OllamaTeller, Said, Shape, Tokens, as_message, as_response
from noibo.gateway.ollama.turns import (
    CHAT,
    COMPLETION,
    Chat,
    Completion,
    prompt_fields,
    require_able,
)
from noibo.gateway.pipeline import Errand, Request, Stream
from noibo.gateway.relay import Relay
from noibo.gateway.reply import Reply, header
from noibo.gateway.services import Services
from noibo.gateway.watching.record import current
from noibo.wire import ollama
from noibo.wire.body import Fields
from noibo.wire.management import CONTEXT_HEADER
from noibo.wire.ollama import options
from noibo.wire.ollama.thinking import OPENING, Thought

log = logging.getLogger(__name__)

# What an engine may have to say of a field, said of the caller's.
_MADE_OF: Final = {
    "response_format": "format",
    "json_schema": "format",
    "max_tokens": "options.num_predict",
}


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What goes to the engine, and how its answer is told."""

    path: str
    fields: Fields
    thought: Thought | None = None
    tokens: Tokens | None = None


class Conversation(Exchange):
    """A response that is one answer of a model. `size`: about as many bytes were sent."""

    def __init__(
        self,
        services: Services,
        asked: Asked,
        turn: Chat | Completion,
        caller: Caller,
        size: int = 0,
    ) -> None:
        super().__init__(ollama.Voice())
        self._services = services
        self._asked = asked
        self._turn = turn
        self._caller = caller
        self._size = size
        self._began = time.monotonic()

    @property
    def _shape(self) -> Shape:
        return as_message if isinstance(self._turn, Chat) else as_response

    async def answer(self, reply: Reply) -> None:
        _note(self._asked)
        with contextlib.ExitStack() as held:
            await self._answer_with(held, reply)

    async def _answer_with(self, held: contextlib.ExitStack, reply: Reply) -> None:
        asked, turn = self._asked, self._turn
        model = await self._model()
        foreign = self._services.supervisor.engine(model.engine).foreign
        if turn.empty and (foreign or asked.unloads):
            await self._move(model)
            await self._nothing(reply, "unload" if asked.unloads else "load")
            return
        if not foreign:  # that says it itself
            require_able(turn, asked, model)
        model = await self._with_context(model, reply, held)
        if turn.empty:
            async with self._worker(asked.keep_alive):
                await self._nothing(reply, "load")
            return
        await self._relay(await self._prepared(turn, model), reply)

    # ── the model ───────────────────────────────────────────────────────────

    async def _model(self) -> Model:
        try:
            return await self._services.resolve(self._asked.model)
        except ModelNotFound as error:
            raise ollama.not_found(self._asked.model, error) from error

    def _worker(
        self, kept: float | None = None
    ) -> contextlib.AbstractAsyncContextManager[Upstream]:
        """A worker that has loaded the model; no slot of it is taken."""
        errand = Errand(Verb.TOKENISE, self._asked.model, self._caller, kept)
        return self._services.pipeline.worker(errand)

    async def _move(self, model: Model) -> None:
        """Load or unload it, as far as that is for noibo to say."""
        if model.engine == Ollama.name:
            await self._tell_ollama(model)
        elif self._asked.unloads:
            await self._unload(model)

    async def _tell_ollama(self, model: Model) -> None:
        """It loads models, and unloads them, as it is told here."""
        current().asks(model)
        kept, caller = self._asked.keep_alive, self._caller
        claim = Claim(model, caller.name, caller.priority, kept, answers=False)
        lease = self._services.supervisor.lease(claim)
        async with lease as worker:
            upstream = self._services.pipeline.upstream(worker, lease)
            await upstream.ask(Verb.GENERATE, LOAD, {})

    async def _unload(self, model: Model) -> None:
        """It goes when it has answered all that it is answering. One that is going already is left
        alone: to wait for it would load it anew."""
        supervisor = self._services.supervisor
        for worker in supervisor.workers():  # a model may have one for each verb
            if worker.model.name == model.name and supervisor.worker(worker.model.seat) is worker:
                claim = Claim(worker.model, self._caller.name, keep_alive=0.0, answers=False)
                async with supervisor.lease(claim):
                    pass

    async def _with_context(self, model: Model, reply: Reply, held: contextlib.ExitStack) -> Model:
        """The model with as much context as was asked for, or as much of that as it can have:
        clients ask for what a model was trained for. What it has then is said in a header. It is
        wanted for as long as `held` is."""
        wanted, has = self._asked.context, room.usual(self._services, model)
        if wanted <= has or self._services.supervisor.engine(model.engine).foreign:
            return model
        most = room.most(self._services, model, wanted)
        if min(wanted, most) > has:
            held.enter_context(self._services.contexts.wanted(model, wanted, most))
            async with self._worker() as upstream:
                has = upstream.worker.launch.size.context
        if has < wanted:
            reply.headers.append(header(CONTEXT_HEADER, f"{has}; asked={wanted}"))
        return await self._services.resolve(self._asked.model)

    # ── the prompt ──────────────────────────────────────────────────────────

    async def _prepared(self, turn: Chat | Completion, model: Model) -> _Prepared:
        if isinstance(turn, Completion):
            if turn.raw or turn.suffix or turn.context:
                return await self._plain(turn, model)
            tokens = self._tokens(turn)
        else:
            tokens = None
        fields = await off_loop(self._size, turn.fields, self._asked, model)
        return _Prepared(CHAT, fields, self._thought(model), tokens)

    def _thought(self, model: Model, *, opened: bool = False) -> Thought | None:
        """What parts thought from answer, for a model that may think."""
        thinks = Thinking.of(model).thinks and self._asked.think is not False
        return Thought(inside=opened) if thinks else None

    async def _plain(self, turn: Completion, model: Model) -> _Prepared:
        """A prompt that goes to the engine as it is."""
        asked = self._asked
        if turn.suffix:
            async with self._worker() as upstream:
                gap = await prompts.with_gap(upstream, turn, asked.model)
            return _Prepared(COMPLETION, prompt_fields(gap, asked, model))
        if turn.raw:
            thought = self._thought(model, opened=turn.prompt.rstrip().endswith(OPENING))
            return _Prepared(COMPLETION, prompt_fields(turn.prompt, asked, model), thought)
        async with self._worker() as upstream:
            prompt, opened = await prompts.continued(upstream, turn, asked, model)

        async def tokens(stream: Stream, said: Said) -> list[int]:
            upstream = self._services.pipeline.upstream(stream.worker)
            return await prompts.answered(upstream, prompt, said)

        thought = self._thought(model, opened=opened)
        return _Prepared(COMPLETION, prompt_fields(prompt, asked, model), thought, tokens)

    def _tokens(self, turn: Completion) -> Tokens | None:
        """The tokens of the conversation, once it is answered. What has pictures has none."""
        if turn.images:
            return None

        async def tokens(stream: Stream, said: Said) -> list[int] | None:
            upstream = self._services.pipeline.upstream(stream.worker)
            fields = turn.fields(self._asked, stream.model)
            with contextlib.suppress(EngineError):  # an engine that does not say them
                prompt = await prompts.chat_tokens(upstream, fields)
                return await prompts.answered(upstream, prompt, said)
            return None

        return tokens

    # ── the answer ──────────────────────────────────────────────────────────

    async def _relay(self, prepared: _Prepared, reply: Reply) -> None:
        asked = self._asked
        request = Request(
            path=prepared.path,
            fields=prepared.fields,
            model=asked.model,
            streamed=asked.streamed,
            wants_progress=False,
            caller=self._caller,
            keep_alive=asked.keep_alive,
            made_of=_MADE_OF,
            wish=asked.wish,
        )
        teller = OllamaTeller(asked, self._shape, self._began, prepared.thought, prepared.tokens)
        queue = self._services.settings.queue
        relay = Relay(self._services.pipeline, request, queue, self.voice, teller)
        await relay.answer(reply)

    async def _nothing(self, reply: Reply, reason: str) -> None:
        said = {"model": self._asked.model, "created_at": ollama.now(), **self._shape(Said())}
        took = {"total_duration": ollama.nanoseconds(time.monotonic() - self._began)}
        body = ollama.line(said | {"done": True, "done_reason": reason} | took)
        await reply.whole(200, body)


def _note(asked: Asked) -> None:
    """What is accepted and changes no answer, for whoever looks for it."""
    if idle := sorted(options.MACHINE & set(asked.options)):
        log.debug("options that the machine settles: %s", ", ".join(idle))
