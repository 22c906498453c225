"""One question asked of the pipeline that a server's requests go through, without a server."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.errors import ContextExceeded, EngineError
from noibo.gateway.callers import Caller
from noibo.gateway.engine_events import NONSENSE, counted, decoded
from noibo.gateway.pipeline import Pipeline, Request, Stream
from noibo.gateway.window.cut import MEMBER
from noibo.gateway.window.policy import Wish
from noibo.llm_service.answer import Answer, Taken
from noibo.llm_service.config import GenerationConfig
from noibo.llm_service.thinking import told
from noibo.wire import body, openai
from noibo.wire.body import Json

_CHAT: Final = "/v1/chat/completions"
_SAID: Final = {"messages": "question and context", "max_tokens": "max_tokens"}
_WHOLE: Final = Wish(whole=True)  # one question: there is nothing in it that could go first
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a chat. `limited`: its caller said how long the answer may be; else a limit
    that only stands in the settings gives way to a prompt that fills the window."""

    messages: Sequence[Mapping[str, str]]
    config: GenerationConfig
    limited: bool

    def request(self, model: Model, *, foreign: bool) -> Request:
        """What it asks of the pipeline. The model stays loaded afterwards. A `foreign` engine gets
        what OpenAI's API has no word for only where a program has said it: it may refuse it. Raises
        `InvalidRequest` for what the model cannot do."""
        said: Json = {"model": model.asked, "messages": self.messages, **self.config.fields()}
        said |= told(self.config.think, model)
        if foreign and self.config.top_k == GenerationConfig().top_k:
            del said["top_k"]
        return Request(
            path=_CHAT,
            fields={name: body.raw(value) for name, value in said.items()},
            model=model.asked,
            streamed=False,  # to the engine's mind: all that it counts is wanted
            wants_progress=False,
            caller=Caller(),
            keep_alive=math.inf,
            made_of=_SAID,
            wish=_WHOLE,
        )


async def ask(pipeline: Pipeline, model: Model, question: Question, tell: Tell) -> Answer:
    """The answer; `tell` is given each piece of it as it comes. Raises `ContextExceeded` where the
    prompt, or with it the answer that was asked for, does not fit; and what engines raise."""
    foreign = pipeline.supervisor.engine(model.engine).foreign
    try:
        return await _ask(pipeline, question.request(model, foreign=foreign), tell)
    except ContextExceeded as error:
        left = error.window - error.prompt
        if question.limited or error.wanted is None or left < 1:
            raise
    shorter = replace(question, config=replace(question.config, max_tokens=left))
    return await _ask(pipeline, shorter.request(model, foreign=foreign), tell)


async def _ask(pipeline: Pipeline, request: Request, tell: Tell) -> Answer:
    began, first_at = time.perf_counter(), 0.0
    assembler = openai.Assembler(chat=True)
    async with pipeline.open(request) as stream:
        if stream.response.status != 200:
            raise stream.upstream.refusal(stream.response, await stream.beginning())
        async for block in counted(stream.worker, stream.chunks, stream.tokens):
            for piece in _pieces(stream, block, assembler):
                first_at = first_at or time.perf_counter()
                tell(piece)
        with _understood(stream):
            text, taken = _read(assembler.answer(), stream)
    ended = time.perf_counter()
    first_s = (first_at or ended) - began
    return Answer(text, replace(taken, first_token_s=first_s, seconds=ended - began))


def _pieces(stream: Stream, block: bytes, assembler: openai.Assembler) -> Iterator[str]:
    """What of the answer's text is in a block of events."""
    with _understood(stream):
        for event in decoded(stream.worker, block):
            assembler.add(event)
            for choice in event.get("choices") or ():
                if piece := (choice.get("delta") or {}).get("content"):
                    yield str(piece)


def _read(said: Json, stream: Stream) -> tuple[str, Taken]:
    """The text of a whole answer, and what it took."""
    choice: Json = said["choices"][0] if said["choices"] else {}
    message: Json = choice.get("message") or {}
    cut: Mapping[str, Any] = stream.cut.member()[MEMBER]["cut"] if stream.cut else {}
    taken = Taken(
        model=stream.model.name,
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=stream.tokens.prompt,
        tokens=stream.tokens.written,
        thoughts=str(message.get("reasoning_content") or ""),
        cut=cut,
    )
    return str(message.get("content") or ""), taken


@contextlib.contextmanager
def _understood(stream: Stream) -> Iterator[None]:
    """What an engine sends in no shape that anybody knows is its failure."""
    try:
        yield
    except NONSENSE as exc:
        raise EngineError(f"{stream.model.name} sent what is not understood.") from exc
