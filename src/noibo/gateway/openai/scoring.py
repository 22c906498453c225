"""`echo` with `logprobs` on text completions: what a model says of a given prompt.

The prompt's log-probabilities come from the model's scoring worker. Where nothing is to be written,
or one token that is the likeliest anyway (so evaluation harnesses ask), it gives the whole answer;
any other answer is written by the chat worker as always, with the scored prompt in front of it.

    lines = await score(pipeline, Question(prompts, top=5), errand, told)
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.engines.engine import Verb
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, InvalidRequest, WorkerDied
from noibo.gateway.exchange import Exchange
from noibo.gateway.openai.asked import Asked
from noibo.gateway.pipeline import Errand, Pipeline
from noibo.gateway.reply import Reply, header
from noibo.gateway.services import Services
from noibo.gateway.waiting import Waiting
from noibo.wire import body, openai, sse
from noibo.wire.body import UNREADABLE, Fields, Json
from noibo.wire.management import MODEL_HEADER
from noibo.wire.openai import scores
from noibo.wire.openai.scores import Line
from noibo.wire.openai.shape import Lead

Prompt = str | list[int]
Tell = Callable[[Ticket], None]
PROMPT_LOGPROBS: Final = "prompt_logprobs"  # vLLM's
# Fields that cannot change which token is the likeliest.
_IDLE: Final = frozenset(
    {"model", "prompt", "max_tokens", "stop", "seed", "stream", "logprobs", "temperature"}
    | {"top_p", "top_k", "min_p", "typical_p", "cache_prompt", "return_progress"}
    | {"timings_per_token", PROMPT_LOGPROBS}
)
# What may come with a model and can change it, unless it has this value.
_CHANGES: Final = {
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "mirostat": 0,
}


@dataclass(frozen=True, slots=True)
class Question:
    """Texts to score. `top`: how many of the likeliest tokens to name in each place; `after`: say
    too what would come next."""

    prompts: Sequence[Prompt]
    top: int = 0
    after: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The scores of each prompt, in order, and the model that gave them."""

    lines: Sequence[Line]
    model: str

    @property
    def usage(self) -> Json:
        """Tokens of the prompts, and those that came after them, as an answer has it."""
        read = sum(len(line.tokens) for line in self.lines)
        reused = sum(line.reused for line in self.lines)
        written = sum(line.after is not None for line in self.lines)
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": reused},
        }
        return {"usage": usage}


async def score(
    pipeline: Pipeline,
    question: Question,
    errand: Errand,
    told: Tell = lambda ticket: None,
) -> Answered:
    """Log-probabilities of every prompt, exact. Leaving it ends the work within a batch."""
    for again in (True, False):
        try:
            async with pipeline.worker(errand, told) as upstream:
                lines = [line async for line in _lines(upstream, question)]
                if len(lines) != len(question.prompts):
                    raise WorkerDied(f"The scores of {errand.model} broke off in the middle.")
                ordered = sorted(lines, key=lambda line: line.index)
                return Answered(ordered, upstream.worker.model.name)
        except WorkerDied as died:  # before it was asked: another can be, with nothing lost
            if died.asked or not again:
                raise
    raise AssertionError


async def _lines(upstream: Upstream, question: Question) -> AsyncIterator[Line]:
    """The worker's lines as they come."""
    fields: Fields = {
        "prompts": body.raw(question.prompts),
        "top": body.raw(question.top),
        "after": body.raw(question.after),
    }
    async with upstream.generate("/score", fields) as response:
        rest = b""
        async for chunk in upstream.chunks(response):
            *whole, rest = (rest + chunk).split(b"\n")
            if response.status == 200:
                for line in map(_read, whole):
                    _count(upstream, line)
                    yield line
        if response.status != 200:
            raise openai.refusal(response.status, rest)


def _read(said: bytes) -> Line:
    try:
        line = msgspec.json.decode(said, type=Line)
    except UNREADABLE as exc:
        raise EngineError(f"The worker sent a line that is no score: {exc}.") from exc
    if line.error:
        raise EngineError(str(line.error.get("message")))
    return line


def _count(upstream: Upstream, line: Line) -> None:
    worker = upstream.worker
    worker.prompts += 1
    worker.tokens_in += len(line.tokens)
    worker.tokens_reused += line.reused
    worker.longest_tokens = max(worker.longest_tokens, len(line.tokens))


class Scoring(Exchange):
    """The answer to a completion that asks for its prompt's log-probabilities, where the scoring
    worker can give all of it; else `otherwise` answers."""

    def __init__(self, services: Services, asked: Asked, otherwise: Exchange) -> None:
        super().__init__(openai.Voice())
        self._services = services
        self._asked = asked
        self._otherwise = otherwise
        self._named = body.field(asked.request.fields, PROMPT_LOGPROBS, int)
        self._after = body.field(asked.request.fields, "max_tokens", int) == 1

    async def answer(self, reply: Reply) -> None:
        """Score the prompts, and tell it at once."""
        if "suffix" in self._asked.request.fields:
            raise InvalidRequest(
                "suffix: not with the log-probabilities of a prompt, which it would change.",
                param="suffix",
                next_step="Leave it out, or logprobs.",
            )
        if await self._is_whole():
            found = await self._score(reply)
            reply.headers.append(header(MODEL_HEADER, found.model))
            await self._say(reply, found)
        elif self._named is None:
            await self._otherwise.answer(reply)
        else:
            raise InvalidRequest(
                f"{PROMPT_LOGPROBS}: only with max_tokens 0, or max_tokens 1 and temperature 0.",
                param=PROMPT_LOGPROBS,
                next_step="Or ask for echo and logprobs, which go with any other field.",
            )

    async def _is_whole(self) -> bool:
        """True if nothing is to be written, or one token that is the likeliest anyway."""
        fields = self._asked.request.fields
        if not self._after:
            return bool(body.field(fields, "max_tokens", int) == 0)
        model = await self._services.resolve(self._asked.request.model)
        return self._asked.shape.drawn == 1 and _is_greedy(fields, model.defaults.parameters)

    async def _score(self, reply: Reply) -> Answered:
        asked, services = self._asked, self._services
        top = max(asked.shape.top_logprobs or 0, self._named or 0)
        question = Question(asked.prompts, top, self._after)
        say_after = services.settings.queue.say_after_s
        with Waiting(reply, say_after, streamed=asked.shape.streamed) as waiting:
            found = await score(services.pipeline, question, errand_of(asked), waiting.told)
            await waiting.over()
        return found

    async def _say(self, reply: Reply, found: Answered) -> None:
        shape = self._asked.shape
        choices = [
            {**choice, "index": number * shape.choices + copy}
            for number, line in enumerate(found.lines)
            for choice in [self._choice(line, number)]
            for copy in range(shape.choices)
        ]
        head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": found.model,
        }
        if not shape.streamed:
            await reply.whole(200, msgspec.json.encode({**head, "choices": choices, **found.usage}))
            return
        await reply.begin_stream()
        parts: list[Json] = [{"choices": [choice]} for choice in choices]
        for part in [*parts, *([{"choices": [], **found.usage}] if shape.usage else [])]:
            await reply.say(sse.event(msgspec.json.encode({**head, **part})))
        await reply.say(sse.event(sse.DONE))
        await reply.end()

    def _choice(self, line: Line, number: int) -> Json:
        """One prompt, if it is echoed, and the token after it, if one was asked for."""
        top, asked = self._asked.shape.top_logprobs, self._asked
        lead = lead_of(line, asked.prompts[number], top) if asked.echo else Lead()
        shown, more, reason = lead.logprobs, "", "length"
        if line.after is not None:
            if top is not None:
                shown = scores.with_next(shown, line, lead.text, top)
            more, stopped = _until_stop(scores.next_text(line), self._stops())
            reason = "stop" if stopped or scores.next_ends(line) else "length"
        choice: Json = {"text": lead.text + more, "logprobs": shown, "finish_reason": reason}
        if self._named is not None:
            choice[PROMPT_LOGPROBS] = scores.as_prompt_logprobs(line, self._named)
        return choice

    def _stops(self) -> Sequence[str]:
        found: Any = body.field(self._asked.request.fields, "stop", str | list[str], [])
        return [found] if isinstance(found, str) else found


def asks(asked: Asked) -> bool:
    """True for a completion that wants the log-probabilities of its prompt."""
    echoed = asked.echo and asked.shape.top_logprobs is not None
    return echoed or PROMPT_LOGPROBS in asked.request.fields


def errand_of(asked: Asked) -> Errand:
    """What is asked of the scoring worker's queue."""
    request = asked.request
    return Errand(Verb.SCORE, request.model, request.caller, request.keep_alive)


async def leads_of(pipeline: Pipeline, asked: Asked) -> Sequence[Lead]:
    """Every prompt with its log-probabilities, for an answer that the chat worker writes."""
    top = asked.shape.top_logprobs
    found = await score(pipeline, Question(asked.prompts, top or 0), errand_of(asked))
    pairs = zip(found.lines, asked.prompts, strict=True)
    return [lead_of(line, prompt, top) for line, prompt in pairs]


def lead_of(line: Line, prompt: Prompt, top: int | None) -> Lead:
    """One prompt to stand in front of what comes after it."""
    text = scores.text_of(line, prompt)
    return Lead(text, None if top is None else scores.as_text(line, text, top))


def _is_greedy(fields: Fields, defaults: Mapping[str, Any]) -> bool:
    """True if the next token is the likeliest one whatever else is asked for, and whatever came
    with the model."""
    temperature = body.field(fields, "temperature", float, defaults.get("temperature", 1.0))
    best_only = body.field(fields, "top_k", int, defaults.get("top_k", 0)) == 1
    changed = any(defaults.get(name, idle) != idle for name, idle in _CHANGES.items())
    return (temperature == 0 or best_only) and not changed and fields.keys() <= _IDLE


def _until_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first of the stop texts in it, and whether there was one."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)
