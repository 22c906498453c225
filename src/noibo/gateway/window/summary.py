"""What a conversation said, in few words, by the model that will go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.engine import Fields
from noibo.engines.thinking import Thinking
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, InvalidRequest
from noibo.gateway.engine_events import NONSENSE, counted, decoded
from noibo.gateway.off_loop import off_loop
from noibo.gateway.tokens import Tokens
from noibo.gateway.window.pieces import Pieces
from noibo.gateway.window.prompts import tokens_of_chat
from noibo.wire import body, openai
from noibo.wire.body import Json

CHAT: Final = "/v1/chat/completions"
LEAST, MOST, SHARE = 48, 512, 8  # tokens of a summary: an eighth of the window
LEAST_PART: Final = 64  # tokens that are read at a time: with less there is no sense in it
MOST_PARTS: Final = 24  # what is longer would keep its caller waiting for very long
SPARE: Final = 16  # a text in parts has a few tokens more
_ASKED: Final = (
    "You summarise conversations. Write in the language of the conversation. Keep names, numbers, "
    "dates, decisions and open questions. Write only the summary, in at most {words} words."
)
_MORE: Final = "What was said before, in short:\n{before}\n\nWhat was said then:\n{part}"


class CannotSummarise(Exception):
    """It is not to be had: too long, or the model says nothing."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Makes summaries of at most `most` tokens, on a lease that is held already."""

    upstream: Upstream
    window: int
    most: int

    @classmethod
    def of(cls, upstream: Upstream, window: int) -> Summary:
        """As long as suits a window."""
        return cls(upstream, window, min(max(window // SHARE, LEAST), MOST))

    async def make(self, messages: Sequence[Json]) -> str:
        """What they say. What is too long to be read at once is read in parts. Raises
        `CannotSummarise`."""
        said = ""
        try:
            for part in await self._parts(messages):
                said = await self._ask(part, said)
        except (EngineError, InvalidRequest, *NONSENSE) as error:
            raise CannotSummarise from error
        if not said:
            raise CannotSummarise
        return said

    async def _parts(self, messages: Sequence[Json]) -> list[str]:
        text = await off_loop(len(messages), written, messages)
        empty = self._fields("", "-")
        frame = await tokens_of_chat(self.upstream, empty)
        room = self.window - frame - 2 * self.most - SPARE
        if room < LEAST_PART:
            raise CannotSummarise
        pieces = await Pieces.of(self.upstream, text, special=False)
        if len(pieces.ids) > room * MOST_PARTS:
            raise CannotSummarise
        return list(pieces.parts(room))

    def _fields(self, part: str, before: str) -> Fields:
        model = self.upstream.worker.model
        asked: Json = {
            "messages": [
                {"role": "system", "content": _ASKED.format(words=self.most // 2)},
                {"role": "user", "content": _MORE.format(before=before, part=part)},
            ],
            "model": model.name,
            "max_tokens": self.most,
            "temperature": 0,
        }
        if not before:
            asked["messages"][1]["content"] = part
        if Thinking.of(model).has_switch:
            asked["chat_template_kwargs"] = {"enable_thinking": False}
        return {name: body.raw(value) for name, value in asked.items()}

    async def _ask(self, part: str, before: str) -> str:
        fields = self._fields(part, before)
        upstream = self.upstream
        upstream.worker.engine.prepare(fields, streamed=False)
        assembler, tokens = openai.Assembler(chat=True), Tokens(upstream.worker)
        async with upstream.generate(CHAT, fields) as response:
            chunks = upstream.chunks(response)
            if response.status != 200:
                raise upstream.refusal(response, b"".join([chunk async for chunk in chunks]))
            async for block in counted(upstream.worker, chunks, tokens):
                for event in decoded(upstream.worker, block):
                    assembler.add(event)
        choices = assembler.answer()["choices"]
        return str(choices[0]["message"]["content"] or "").strip() if choices else ""


def written(messages: Sequence[Json]) -> str:
    """A conversation as a text to be read."""
    return "\n".join(line for one in messages for line in _lines(one))


def _lines(message: Json) -> list[str]:
    who = message.get("role") or "?"
    text = _text(message.get("content"))
    lines = [f"{who}: {text}"] if text else []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            lines.append(f"{who} calls {function.get('name')}: {function.get('arguments')}")
    return lines


def _text(content: Any) -> str:
    """What a message says; of what is no text, that it was there."""
    if not isinstance(content, list):
        return str(content or "")
    parts = [part for part in content if isinstance(part, dict)]
    return " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in parts)
