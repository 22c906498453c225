"""One response from its beginning to its end: the engine's chunks in, OpenAI's events out. Pure.

    created → (queued) → in_progress → items, each opened, told and closed → completed
                                                                    | incomplete | failed

Every event has its number in `sequence_number`, from 0 without a gap. What an answer that breaks
off had given by then stays in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from noibo.errors import EngineError, NoiboError, QueueFull
from noibo.wire.body import Json
from noibo.wire.openai import MOST_TOOL_CALLS
from noibo.wire.openai.calls import Call
from noibo.wire.openai.logprobs import as_chat
from noibo.wire.responses.output import FunctionCall, Item, Message, Reasoning, Status
from noibo.wire.responses.usage import Usage

_UNLIKELY: Final = -9999.0  # OpenAI's log-probability of what is next to impossible
_GRAIN: Final = 16  # deltas are filled up to a multiple of so many characters


@dataclass(frozen=True, slots=True)
class Telling:
    """How a caller wants a response told: reasoning as a summary, reasoning packed, deltas filled
    up, so many likeliest tokens beside each (None: no log-probabilities). `forced`: the engine
    writes a call that had to be, as the JSON of one."""

    summarised: bool = False
    packed: bool = False
    obfuscated: bool = False
    logprobs: int | None = None
    forced: bool = False


class Answer:
    """A response that is being given. `head` is what it says of its request, with its id."""

    def __init__(self, head: Json, telling: Telling, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._telling = telling
        self._forced = Call() if telling.forced else None
        self._items: list[Item] = []
        self._open: Item | None = None
        self._calls: dict[int, FunctionCall] = {}
        self._number = 0
        self._reason = ""
        self._usage: Usage | None = None
        self.reasoning_tokens = 0
        self.status = "in_progress"
        self._about: Json = {
            "id": head["id"],
            "object": "response",
            "created_at": int(clock()),
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            **head,
        }

    @property
    def id(self) -> str:
        return str(self._about["id"])

    @property
    def output(self) -> list[Json]:
        """The items as they stand."""
        return [item.body() for item in self._items]

    @property
    def reasoning(self) -> str:
        """All that was thought."""
        return "".join(item.text for item in self._items if isinstance(item, Reasoning))

    @property
    def begun(self) -> bool:
        """True if its caller may have heard of it."""
        return self._number > 0

    @property
    def ended(self) -> bool:
        return self.status not in {"queued", "in_progress"}

    def response(self) -> Json:
        """The response as it stands."""
        usage = self._usage.told(self.reasoning_tokens) if self._usage else None
        made = {**self._about, "status": self.status, "output": self.output}
        return {**made, "usage": usage}

    # ── what happens to it, each as events ──────────────────────────────────

    def queue(self) -> list[Json]:
        """It is taken, and will be worked on."""
        self.status = "queued"
        return self._numbered([self._state("created"), self._state("queued")])

    def begin(self, model: str, more: Json | None = None) -> list[Json]:
        """A model gives it. `more`: what else is said of it from now on."""
        self._about |= {"model": model, **(more or {})}
        self.status = "in_progress"
        created = [] if self._number else [self._state("created")]
        return self._numbered([*created, self._state("in_progress")])

    def chunk(self, chunk: Json) -> list[Json]:
        """A chunk of a chat completion came."""
        self._usage = Usage.read(chunk.get("usage")) or self._usage
        events: list[Json] = []
        for choice in chunk.get("choices") or ():
            if self._forced is not None:
                self._forced.tell(choice)
            self._reason = choice.get("finish_reason") or self._reason
            delta = choice.get("delta") or {}
            events += self._numbered(self._delta(delta, self._rows(choice)))
        return events

    def whole(self, answer: Json) -> None:
        """The same, of an answer that came in one piece."""
        choices = [{**one, "delta": one["message"]} for one in answer["choices"]]
        self.chunk({"choices": choices, "usage": answer.get("usage")})

    def end(self) -> list[Json]:
        """The engine has ended it."""
        cut = self._reason == "length"
        silent = self._open is None or (isinstance(self._open, Reasoning) and not cut)
        events = [*self._to_message()] if silent else []
        events += self._close("incomplete" if cut else "completed")
        self.status = "incomplete" if cut else "completed"
        if cut:
            self._about["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            self._about["completed_at"] = int(self._clock())
        return self._numbered([*events, self._state(self.status)])

    def fail(self, error: NoiboError) -> list[Json]:
        """It cannot be given, or not to its end, or cannot be kept: then nobody hears the last
        event of `end`, and this one stands in its place."""
        if self.ended:
            self._number -= 1
        events = [*self._close("incomplete")]
        self.status = "failed"
        self._about |= {"error": _error(error), "completed_at": None, "incomplete_details": None}
        return self._numbered([*events, self._state("failed")])

    def cancel(self) -> list[Json]:
        """Nobody wants it any more."""
        events = [*self._close("incomplete")]
        self.status = "cancelled"
        return self._numbered(events)

    # ── inside ──────────────────────────────────────────────────────────────

    def _rows(self, choice: Json) -> list[Json]:
        """The log-probabilities of a chunk's tokens, as far as they were asked for."""
        rows = (choice.get("logprobs") or {}).get("content") or []
        top = self._telling.logprobs
        if top is None or not rows:
            return []
        told: list[Json] = as_chat(rows, top)["content"]
        for row in told:
            for one in (row, *row["top_logprobs"]):
                one["logprob"] = _logprob(one["logprob"])
                one["bytes"] = None if one["bytes"] is None else list(bytes(one["bytes"]))
        return told

    def _delta(self, delta: Json, logprobs: list[Json]) -> Iterable[Json]:
        if thought := _text(delta, "reasoning_content") or _text(delta, "reasoning"):
            yield from self._to_reasoning()
            assert isinstance(self._open, Reasoning)  # noqa: S101 - just opened
            yield from self._placed(self._open.add(thought))
        if text := _text(delta, "content"):
            yield from self._to_message()
            assert isinstance(self._open, Message)  # noqa: S101 - just opened
            yield from self._placed(self._open.add(text, logprobs))
        for place, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._call(call.get("index", place), call)

    def _to_reasoning(self) -> Iterable[Json]:
        if not isinstance(self._open, Reasoning):
            how = self._telling
            yield from self._turn_to(Reasoning(summarised=how.summarised, packed=how.packed))

    def _to_message(self) -> Iterable[Json]:
        if not isinstance(self._open, Message):
            yield from self._turn_to(Message())

    def _call(self, index: int, part: Json) -> Iterable[Json]:
        if not 0 <= index < MOST_TOOL_CALLS:
            raise EngineError(f"The engine sent a tool call with the index {index}.")
        function = part.get("function") or {}
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = FunctionCall(_text(function, "name"), _text(part, "id"))
            yield from self._turn_to(call)
        if arguments := _text(function, "arguments"):
            yield from self._placed(call.add(arguments), self._items.index(call))

    def _turn_to(self, item: Item) -> Iterable[Json]:
        """Another item begins: the one that was open is whole."""
        yield from self._close("completed")
        self._items.append(item)
        self._open = item
        yield from self._placed(item.opening())

    def _close(self, status: Status) -> Iterable[Json]:
        if self._open is not None:
            closing = self._open
            yield from self._placed(closing.closing(status), self._items.index(closing))
            self._open = None

    def _placed(self, events: Iterable[Json], place: int | None = None) -> Iterable[Json]:
        place = len(self._items) - 1 if place is None else place
        for event in events:
            yield {**event, "output_index": place}

    def _state(self, name: str) -> Json:
        return {"type": f"response.{name}", "response": self.response()}

    def _numbered(self, events: Iterable[Json]) -> list[Json]:
        numbered = []
        for event in events:
            event["sequence_number"] = self._number
            self._number += 1
            if self._telling.obfuscated and "delta" in event:
                event["obfuscation"] = _filling(event["delta"])
            numbered.append(event)
        return numbered


def _text(said: Json, name: str) -> str:
    """What an engine says, which has to be a text: it is put together at the end."""
    found = said.get(name) or ""
    if not isinstance(found, str):
        raise EngineError(f"The engine sent {name} that is no text.")
    return found


def _logprob(value: object) -> float:
    """A number in any case, as clients expect: what has no logarithm is told as OpenAI does."""
    if isinstance(value, int | float) and _UNLIKELY < value < 1:  # no NaN is
        return float(value)
    return _UNLIKELY


def _filling(text: str) -> str:
    """Characters by chance, so that a delta's length does not tell its text's."""
    missing = _GRAIN - len(text) % _GRAIN
    return secrets.token_urlsafe(missing)[:missing]


def _error(error: NoiboError) -> Json:
    code = "rate_limit_exceeded" if isinstance(error, QueueFull) else "server_error"
    if 400 <= error.status < 500 and code == "server_error":
        code = "invalid_prompt"
    return {"code": code, "message": str(error)}
