"""`echo` with `logprobs` on text completions: what a model says of a given prompt.

The prompt's log-probabilities come from the model's scoring worker. Where nothing is to be written,
or one token that is the likeliest anyway (so evaluation harnesses ask), it gives the whole answer;
any other answer is written by the chat worker as always, with the scored prompt in front of it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from noibo.engines.engine import Verb
from noibo.errors import InvalidRequest
from noibo.gateway.exchange import Exchange
from noibo.gateway.off_loop import off_loop
from noibo.gateway.openai.asked import Asked
from noibo.gateway.openai.prompt_scores import Answered, Prompt, Question, score
from noibo.gateway.pipeline import Pipeline
from noibo.gateway.reply import Reply, header
from noibo.gateway.services import Services
from noibo.gateway.waiting import Waiting
from noibo.wire import body, openai, sse
from noibo.wire.body import Fields, Json
from noibo.wire.management import MODEL_HEADER
from noibo.wire.openai import scores
from noibo.wire.openai.scores import Line
from noibo.wire.openai.shape import Lead

_BYTES: Final = 40  # of an answer for each log-probability
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
        tops = (asked.shape.top_logprobs if asked.echo else None, self._named)
        told = sum(1 + top for top in tops if top is not None)
        self._each = told * asked.shape.choices  # log-probabilities of every token

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
        question = Question(asked.prompts, top, self._after, self._each)
        say_after = services.settings.queue.say_after_s
        with Waiting(reply, say_after, streamed=asked.shape.streamed) as waiting:
            found = await score(
                services.pipeline, question, asked.request.errand(Verb.SCORE), waiting.told
            )
            await waiting.over()
        return found

    async def _say(self, reply: Reply, found: Answered) -> None:
        """Put together where nobody else waits for it: it may be long."""
        head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": found.model,
        }
        if not self._asked.shape.streamed:
            length = sum(map(self._length, found.lines))
            await reply.whole(200, await off_loop(length, self._whole, head, found))
            return
        await reply.begin_stream()
        for number, line in enumerate(found.lines):
            length = self._length(line)
            await reply.say(await off_loop(length, self._events, head, line, number))
        if self._asked.shape.usage:
            await reply.say(sse.event(msgspec.json.encode({**head, "choices": [], **found.usage})))
        await reply.say(sse.event(sse.DONE))
        await reply.end()

    def _length(self, line: Line) -> int:
        """Bytes that are told of one prompt, about."""
        return _BYTES * self._each * len(line.tokens)

    def _whole(self, head: Json, found: Answered) -> bytes:
        choices = [
            choice
            for number, line in enumerate(found.lines)
            for choice in self._choices(line, number)
        ]
        return msgspec.json.encode({**head, "choices": choices, **found.usage})

    def _events(self, head: Json, line: Line, number: int) -> bytes:
        parts = [{**head, "choices": [choice]} for choice in self._choices(line, number)]
        return b"".join(sse.event(msgspec.json.encode(part)) for part in parts)

    def _choices(self, line: Line, number: int) -> list[Json]:
        """Of one prompt; each says the same."""
        choice, copies = self._choice(line, number), self._asked.shape.choices
        return [{**choice, "index": number * copies + copy} for copy in range(copies)]

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


async def leads_of(pipeline: Pipeline, asked: Asked) -> Sequence[Lead]:
    """Every prompt with its log-probabilities, for an answer that the chat worker writes."""
    top = asked.shape.top_logprobs or 0
    each = (1 + top) * asked.shape.drawn
    question, errand = Question(asked.prompts, top, each=each), asked.request.errand(Verb.SCORE)
    found = await score(pipeline, question, errand)
    return [
        await off_loop(_BYTES * each * len(line.tokens), lead_of, line, prompt, top)
        for line, prompt in zip(found.lines, asked.prompts, strict=True)
    ]


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
