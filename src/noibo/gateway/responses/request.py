"""From the body of a response's request to a chat that an engine can be asked.

The history of `previous_response_id`, items that stand elsewhere and uploaded files come out of
what is stored; the rest is translation (`wire.responses*`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from noibo.engines.engine import Model
from noibo.errors import InvalidRequest
from noibo.gateway import pipeline
from noibo.gateway.callers import Caller
from noibo.gateway.off_loop import SMALL, off_loop
from noibo.gateway.openai import model as openai_model
from noibo.gateway.openai.asked import Asked as Chat
from noibo.gateway.window.policy import Policy, Wish
from noibo.wire import responses
from noibo.wire.body import Fields, Json, field, length, raw
from noibo.wire.openai import fields as openai_fields
from noibo.wire.openai.format import check_format
from noibo.wire.openai.shape import Shape
from noibo.wire.responses import Asked
from noibo.wire.responses.budget import Budget
from noibo.wire.responses.items import REFERENCE, file_ids, references
from noibo.wire.responses.messages import FileContent, as_messages

if TYPE_CHECKING:
    from noibo.gateway.stored import Opening

log = logging.getLogger(__name__)
PATH: Final = "/v1/chat/completions"
LARGEST_FILE: Final = 32 * 2**20  # that is put into a prompt
_USAGE: Final = raw({"include_usage": True})
_TRUNCATIONS: Final = {"auto": Policy.DROP_OLDEST, "disabled": Policy.REFUSE}
_MADE_OF: Final = {
    "max_completion_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose context is at hand: its own items, and all of them as messages. `size`: about
    as many characters are in it."""

    asked: Asked
    items: Sequence[Json]
    messages: Sequence[Json]
    size: int

    async def chat(self, model: Model, caller: Caller, fields: Fields, *, streamed: bool) -> Chat:
        """The chat, fit for its model; `fields` are those of the caller's body. Raises
        `InvalidRequest`."""
        return await off_loop(self.size, self._chat, model, caller, fields, streamed=streamed)

    def _chat(self, model: Model, caller: Caller, fields: Fields, *, streamed: bool) -> Chat:
        chat: Fields = {"messages": raw(self.messages), **self.asked.engine}
        with in_its_words():
            openai_fields.check(chat, openai_fields.CHAT)
            check_format(chat)
            chat |= {"model": raw(model.called), "stream": raw(streamed)}
            if streamed:
                chat["stream_options"] = _USAGE
            if pipeline.KEEP_ALIVE in fields:
                chat[pipeline.KEEP_ALIVE] = fields[pipeline.KEEP_ALIVE]
            request = pipeline.Request.of(PATH, chat, caller)
            # the name that was sent says by which engine
            request = replace(request, model=self.asked.model, wish=_wish(fields))
            shape = Shape(chat=True, streamed=streamed)
            fit = openai_model.fit(Chat(request, shape), model)
        made_of = {**_MADE_OF, **fit.request.made_of}
        return replace(fit, request=replace(fit.request, made_of=made_of))


def _wish(fields: Fields) -> Wish:
    said = field(fields, "truncation", str)
    return Wish(_TRUNCATIONS[said] if said else None)


@contextlib.contextmanager
def in_its_words() -> Iterator[None]:
    """What is wrong with a field of the chat is wrong with the one that it was made of."""
    try:
        yield
    except InvalidRequest as error:
        param = error.param or ""
        said = _MADE_OF.get(param.partition(".")[0].partition("[")[0])
        if said is None:
            raise
        begins = error.message.startswith(param)
        message = said + error.message.removeprefix(param) if begins else error.message
        raise InvalidRequest(message, param=said, next_step=error.next_step) from error


async def prepare(fields: Fields, caller: Caller, stored: Opening, most: int) -> Prepared:
    """Read a request and fetch what it builds on; all of it together has at most so many
    characters. Raises `InvalidRequest` or `DatabaseError`."""
    size = length(fields)
    asked = await off_loop(size, responses.read, fields)
    _record(asked, caller)
    owner, budget = caller.owner, Budget(most)
    history: list[Json] = []
    if asked.previous is not None:
        history = await (await stored()).responses.history(owner, asked.previous, budget)
        _require_new(asked.items, {one["id"] for one in history})
    items = asked.items
    if wanted := references(items):
        known = await (await stored()).responses.items(owner, wanted, budget)
        items = _resolved(items, known)
    everything = [*history, *items]
    files = await _files(owner, everything, stored, budget)
    packed = any(one.get("encrypted_content") for one in everything)  # and much comes out of little
    size += most - budget.left + packed * SMALL
    budget = Budget(most)
    messages = await off_loop(size, as_messages, everything, asked.instructions, files, budget)
    return Prepared(asked, items, messages, max(size, most - budget.left))


def _require_new(items: Sequence[Json], said: Set[str]) -> None:
    for place, item in enumerate(items):
        if item["id"] in said:
            where = f"input[{place}].id"
            raise InvalidRequest(
                f"{where}: the item {item['id']!r} stands in the conversation already.",
                param=where,
                next_step="Leave it out, or send all items without previous_response_id.",
            )


def _resolved(items: Sequence[Json], known: Mapping[str, Json]) -> list[Json]:
    """The items, with those that were spoken of in their places."""
    found = []
    for place, item in enumerate(items):
        if item["type"] == REFERENCE and item["id"] not in known:
            where = f"input[{place}].id"
            raise InvalidRequest(f"{where}: there is no item {item['id']!r}.", param=where)
        found.append(known[item["id"]] if item["type"] == REFERENCE else item)
    return found


async def _files(
    owner: str, items: Sequence[Json], stored: Opening, budget: Budget
) -> dict[str, FileContent]:
    wanted = dict.fromkeys(file_ids(items))
    if not wanted:
        return {}
    files = (await stored()).files
    found = {}
    for name in wanted:
        card = await files.get(owner, name)
        if card is None:
            raise InvalidRequest(
                f"There is no file {name!r}.",
                param="input",
                next_step="Upload it: POST /v1/files.",
            )
        if card.bytes > LARGEST_FILE:
            raise InvalidRequest(
                f"The file {name} is larger than {LARGEST_FILE} bytes: too large for a prompt.",
                param="input",
            )
        budget.take(card.bytes)
        found[name] = FileContent(card.name, await files.read(card))
    return found


def _record(asked: Asked, caller: Caller) -> None:
    """What changes no answer is kept with the response, and noted by its name."""
    if log.isEnabledFor(logging.DEBUG):
        names = sorted(name for name, value in asked.said.items() if value)
        log.debug("%s asks for a response with %s", caller.name, ", ".join(names))
