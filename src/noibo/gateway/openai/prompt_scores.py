"""What a model's scoring worker says of given prompts.

found = await score(pipeline, Question(prompts, top=5), errand, told)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from noibo.engines.supervision.ticket import Ticket
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, WorkerDied
from noibo.gateway.off_loop import off_loop
from noibo.gateway.pipeline import Errand, Pipeline
from noibo.gateway.watching.record import current
from noibo.wire import body, openai
from noibo.wire.body import UNREADABLE, Fields, Json
from noibo.wire.openai.scores import Line

Prompt = str | list[int]
Tell = Callable[[Ticket], None]
# Log-probabilities in one answer: some hundred bytes of memory each. A harness asks for a fourth of
# them: 64 prompts of 2,048 tokens, and of each the likeliest other.
MOST: Final = 2**20


@dataclass(frozen=True, slots=True)
class Question:
    """Texts to score. `top`: how many of the likeliest tokens to name in each place; `after`: say
    too what would come next. `each`: log-probabilities that the answer has for every token."""

    prompts: Sequence[Prompt]
    top: int = 0
    after: bool = False
    each: int = 1

    def fields(self) -> Fields:
        """What the worker is asked; it counts the tokens, and refuses what is too much."""
        asked = {
            "prompts": self.prompts,
            "top": self.top,
            "after": self.after,
            "each": self.each,
            "most": MOST,
        }
        return {name: body.raw(value) for name, value in asked.items()}


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
    async with upstream.generate("/score", question.fields()) as response:
        said = bytearray()
        async for chunk in upstream.chunks(response):
            *ends, rest = chunk.split(b"\n") if response.status == 200 else [chunk]
            for end in ends:
                line = await off_loop(len(said), _read, bytes(said) + end)
                said.clear()
                _count(upstream, line)
                yield line
            said += rest
        if response.status != 200:
            raise openai.refusal(response.status, bytes(said))


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
    current().read(len(line.tokens), line.reused)
    worker.longest_tokens = max(worker.longest_tokens, len(line.tokens))
