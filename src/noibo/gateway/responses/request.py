"""From the body of a response's request to a chat that an engine can be asked.

The history of `previous_response_id`, items that stand elsewhere and uploaded files come out of
what is stored; the rest is translation (`wire.responses*`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from noibo.engines.engine import Model
from noibo.errors import InvalidRequest
from noibo.gateway import pipeline
from noibo.gateway.callers import Caller
from noibo.gateway.openai import model as openai_model
from noibo.gateway.openai.asked import Asked as Chat
from noibo.wire import responses
from noibo.wire.body import Fields, Json, raw
from noibo.wire.openai import fields as openai_fields
from noibo.wire.openai.format import check_format
from noibo.wire.openai.shape import Shape
from noibo.wire.responses import Asked
from noibo.wire.responses.items import REFERENCE, file_ids, references
from noibo.wire.responses.messages import FileContent, as_messages

if TYPE_CHECKING:
    from noibo.gateway.stored import Opening

log = logging.getLogger(__name__)
PATH: Final = "/v1/chat/completions"
LARGEST_FILE: Final = 32 * 2**20  # that is put into a prompt
_USAGE: Final = raw({"include_usage": True})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose context is at hand: its own items, and all of them as messages."""

    asked: Asked
    items: Sequence[Json]
    messages: Sequence[Json]

    def chat(self, model: Model, caller: Caller, fields: Fields, *, streamed: bool) -> Chat:
        """The chat, fit for its model; `fields` are those of the caller's body. Raises
        `InvalidRequest`."""
        chat: Fields = {"messages": raw(self.messages), **self.asked.engine}
        openai_fields.check(chat, openai_fields.CHAT)
        check_format(chat)
        chat |= {"model": raw(model.name), "stream": raw(streamed)}
        if streamed:
            chat["stream_options"] = _USAGE
        if pipeline.KEEP_ALIVE in fields:
            chat[pipeline.KEEP_ALIVE] = fields[pipeline.KEEP_ALIVE]
        request = pipeline.Request.of(PATH, chat, caller)
        return openai_model.fit(Chat(request, Shape(chat=True, streamed=streamed)), model)


async def prepare(fields: Fields, caller: Caller, stored: Opening) -> Prepared:
    """Read a request and fetch what it builds on. Raises `InvalidRequest` or `DatabaseError`."""
    asked = responses.read(fields)
    _record(asked, caller)
    owner = caller.owner
    history: list[Json] = []
    if asked.previous is not None:
        history = await (await stored()).responses.history(owner, asked.previous)
    items = asked.items
    if wanted := references(items):
        known = {one["id"]: one for one in history}
        missing = [name for name in wanted if name not in known]
        if missing:
            known |= await (await stored()).responses.items(owner, missing)
        items = [known[one["id"]] if one["type"] == REFERENCE else one for one in items]
    everything = [*history, *items]
    files = await _files(owner, everything, stored)
    return Prepared(asked, items, as_messages(everything, asked.instructions, files))


async def _files(owner: str, items: Sequence[Json], stored: Opening) -> dict[str, FileContent]:
    wanted = set(file_ids(items))
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
        found[name] = FileContent(card.name, await files.read(card))
    return found


def _record(asked: Asked, caller: Caller) -> None:
    """What changes no answer is kept with the response, and noted by its name."""
    if log.isEnabledFor(logging.DEBUG):
        names = sorted(name for name, value in asked.said.items() if value)
        log.debug("%s asks for a response with %s", caller.name, ", ".join(names))
