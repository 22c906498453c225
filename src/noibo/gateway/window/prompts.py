"""Prompts that are counted exactly, by the template and the tokenizer of the model that will read
them, and made shorter: a chat by its oldest turns, a text by its first tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from noibo.engines.engine import Fields, Verb
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, EngineRefused, InvalidRequest
from noibo.gateway.off_loop import off_loop
from noibo.gateway.window.pieces import Pieces
from noibo.gateway.window.turns import Turns
from noibo.wire import body
from noibo.wire.body import Json

MESSAGES: Final = "messages"
PROMPT: Final = "prompt"
PICTURE: Final = b"image_url"  # also in a text that says so: then it is read for nothing
COUNT: Final = "/v1/chat/completions/input_tokens"


class Count(Protocol):
    """How many tokens a chat of these messages has."""

    async def __call__(self, messages: Sequence[Json]) -> int:
        """Asks the worker."""


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat of a request."""

    upstream: Upstream
    fields: Fields

    async def count(self) -> int:
        """Tokens of it."""
        said = bytes(self.fields.get(MESSAGES, b""))
        if PICTURE not in said:
            return await tokens_of_chat(self.upstream, self.fields)
        return await self.count_of((await self.turns()).messages)

    async def count_of(self, messages: Sequence[Json]) -> int:
        """Tokens it would have with other messages. What a picture takes only the engine knows, and
        only when it has read it: it refuses what is too long then, with both counts."""
        size = len(self.fields[MESSAGES])
        other = dict(self.fields) | {MESSAGES: await off_loop(size, _texts, messages)}
        return await tokens_of_chat(self.upstream, other)

    async def turns(self) -> Turns:
        """Its messages, parted."""
        size = len(self.fields[MESSAGES])
        messages: list[Json] = await off_loop(
            size, body.field, self.fields, MESSAGES, list[dict[str, Any]], []
        )
        return await off_loop(size, Turns.of, messages)

    async def say(self, messages: Sequence[Json]) -> None:
        """Ask this instead."""
        size = len(self.fields[MESSAGES])
        self.fields[MESSAGES] = await off_loop(size, body.raw, messages)


@dataclass(frozen=True, slots=True)
class Text:
    """The prompt of a text completion: a text, token ids, or both mixed."""

    upstream: Upstream
    fields: Fields

    @property
    def prompts(self) -> Sequence[Any]:
        """Each of them: llama.cpp takes several in one request. What is no text is asked for by
        nobody but who knows llama.cpp, which says what is wrong with it."""
        said = body.field(self.fields, PROMPT, Any)
        several = isinstance(said, list) and not any(isinstance(one, int) for one in said)
        return said if several else [said]

    async def count(self) -> int:
        """Tokens of the longest."""
        return max([len((await self._pieces(one)).ids) for one in self.prompts], default=0)

    async def cut(self, most: int) -> int:
        """Ask for what follows the last tokens, at most so many; what stands before every text
        stays. How many went."""
        pieces = await self._pieces(self.prompts[0])
        always = (await Pieces.of(self.upstream, "")).ids[:1]
        head = list(always) if always and list(pieces.ids[:1]) == list(always) else []
        kept = [*head, *pieces.last(most - len(head))]
        self.fields[PROMPT] = body.raw(kept)
        return len(pieces.ids) - len(kept)

    async def _pieces(self, said: Any) -> Pieces:
        if isinstance(said, dict):  # a text with pictures
            said = said.get("prompt_string")
        return await Pieces.of(self.upstream, said)


def _texts(messages: Sequence[Json]) -> msgspec.Raw:
    """The messages without what is no text."""
    said = [_text_of(one) if isinstance(one.get("content"), list) else one for one in messages]
    return body.raw(said)


def _text_of(message: Json) -> Json:
    parts = [part for part in message["content"] if _is_text(part)]
    return {**message, "content": parts or [{"type": "text", "text": ""}]}


def _is_text(part: Any) -> bool:
    return not isinstance(part, dict) or "text" in part


async def ask_of_chat(upstream: Upstream, path: str, fields: Fields) -> Json:
    """What the model's template makes of a chat: the text, or how many tokens it has. Raises
    `InvalidRequest` for one that it does not take."""
    try:
        found: Json = await upstream.ask(Verb.TOKENISE, path, fields)
    except EngineRefused as refused:
        if refused.status != 500:  # its word for a chat it cannot read
            raise
        raise InvalidRequest(refused.message, param=MESSAGES) from refused
    return found


async def tokens_of_chat(upstream: Upstream, fields: Fields) -> int:
    """Tokens of a chat as its model reads it. Raises `InvalidRequest` for one that the template
    does not take."""
    found = await ask_of_chat(upstream, COUNT, fields)
    try:
        return int(found["input_tokens"])
    except (KeyError, TypeError, ValueError) as exc:
        raise EngineError("The engine did not say how many tokens a chat has.") from exc
