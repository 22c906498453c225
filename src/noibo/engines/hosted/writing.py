"""One answer, token by token: read the prompt, draw, say, until it ends or nobody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from noibo.engines.hosted.drawing import Drawer, Way, likeliest
from noibo.engines.hosted.form import Guided
from noibo.engines.hosted.python_model import Scores, Vocabulary
from noibo.engines.hosted.reader import Reader, Stopped
from noibo.engines.hosted.speech import Speech
from noibo.engines.hosted.wanted import Refused, Wanted

Json = dict[str, Any]
LEAST: Final = -9999.0  # for what cannot be: JSON has no infinity


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer that is wanted. `prompt`: tokens."""

    prompt: Sequence[int]
    wanted: Wanted
    way: Way
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the prompt is read."""

    total: int
    cache: int
    processed: int


@dataclass(slots=True)
class Written:
    """What one token adds: text, perhaps none yet, and its log-probabilities where wanted."""

    text: str
    rows: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class End:
    """How an answer ended: "stop" or "length"; tokens and seconds that it took. `word`: the stop
    text that ended it, if one did."""

    reason: str
    prompt: int
    reused: int
    written: int = 0
    reading_s: float = 0.0
    writing_s: float = 0.0
    word: str = ""

    @property
    def usage(self) -> Json:
        """As OpenAI tells it."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.written,
            "total_tokens": self.prompt + self.written,
            "prompt_tokens_details": {"cached_tokens": self.reused},
        }

    @property
    def timings(self) -> Json:
        """As llama.cpp tells it."""
        read = self.prompt - self.reused
        return {
            "cache_n": self.reused,
            "prompt_n": read,
            "prompt_ms": self.reading_s * 1000,
            "prompt_per_second": read / max(self.reading_s, 1e-9),
            "predicted_n": self.written,
            "predicted_ms": self.writing_s * 1000,
            "predicted_per_second": self.written / max(self.writing_s, 1e-9),
        }


Event = Progress | Written | End


def require_room(tokens: int, context: int, param: str) -> None:
    """Raises `Refused` for a prompt after which no token fits."""
    if tokens >= context:
        raise Refused(
            f"{param} has {tokens} tokens; the context here has {context}, with the answer.",
            param,
            kind="exceed_context_size_error",
            n_prompt_tokens=tokens,
            n_ctx=context,
        )


def write(reader: Reader, ask: Ask) -> Iterator[Event]:
    """The answer as it comes; `End` is the last. Raises `Stopped` within one token of the stop, or
    one batch of the prompt, and `Refused` for a form that cannot be kept to."""
    vocabulary = reader.model.vocabulary
    if not ask.prompt:
        raise Refused("prompt: it is empty.", "prompt")
    form = Guided(vocabulary.guide(), ask.wanted.grammar) if ask.wanted.grammar else None
    drawer = Drawer(ask.way, ask.prompt, form)
    end = End(
        "length", len(ask.prompt), reader.start(ask.prompt, afresh=not ask.wanted.cache_prompt)
    )
    began = time.perf_counter()
    for processed, row in reader.prompt(ask.prompt, end.reused, ask.stop):
        scores = row
        yield Progress(end.prompt, end.reused, processed)
    end.reading_s = time.perf_counter() - began
    began = time.perf_counter()
    yield from _tokens(reader, ask, drawer, scores, end)
    end.writing_s = time.perf_counter() - began
    yield end


def _tokens(
    reader: Reader, ask: Ask, drawer: Drawer, scores: Scores, end: End
) -> Iterator[Written]:
    """Each token; says in `end` how it went."""
    vocabulary = reader.model.vocabulary
    speech = Speech(ask.wanted.stops)
    room = reader.model.context - len(ask.prompt)
    most = room if ask.wanted.limit is None else min(ask.wanted.limit, room)
    while end.written < most:
        if ask.stop.is_set():
            raise Stopped
        token = drawer.draw(scores)
        end.written += 1
        if token in vocabulary.ends:
            end.reason = "stop"
            break
        piece = b"" if token in vocabulary.silent else vocabulary.piece(token)
        text = speech.say(piece)
        yield Written(text, _rows(vocabulary, scores, token, ask.wanted.likely))
        if speech.stopped or drawer.complete:
            end.reason, end.word = "stop", speech.stopped
            break
        if end.written < most:
            scores = reader.read([token])
    if rest := speech.say(b"", last=True):
        yield Written(rest)


def _rows(vocabulary: Vocabulary, scores: Scores, token: int, likely: int | None) -> list[Json]:
    """One token's log-probabilities in the shape of chats."""
    if likely is None:
        return []
    logprob, best = likeliest(scores, token, likely)
    row = _row(vocabulary, token, logprob)
    return [row | {"top_logprobs": [_row(vocabulary, *one) for one in best]}]


def _row(vocabulary: Vocabulary, token: int, logprob: float) -> Json:
    piece = vocabulary.piece(token)
    return {
        "id": token,
        "token": piece.decode(errors="replace"),
        "bytes": list(piece),
        "logprob": max(logprob, LEAST),
    }
