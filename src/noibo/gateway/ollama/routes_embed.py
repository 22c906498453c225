"""Vectors for texts, as Ollama's clients ask for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response

from noibo.engines.supervision.ticket import Ticket
from noibo.errors import InvalidRequest, ModelNotFound
from noibo.gateway.callers import Caller
from noibo.gateway.embedding import Embedded, embed, longest_input
from noibo.gateway.exchange import Once
from noibo.gateway.inquiry import stood_in
from noibo.gateway.off_loop import off_loop
from noibo.gateway.ollama.asked import kept, model_name
from noibo.gateway.reading import read_fields
from noibo.gateway.reply import Reply, header
from noibo.gateway.services import Services, services_of
from noibo.gateway.waiting import Waiting
from noibo.gateway.window.policy import Policy
from noibo.wire import ollama
from noibo.wire.body import Fields, Json, field
from noibo.wire.embeddings import require_few
from noibo.wire.management import CONTEXT_HEADER, CUT_HEADER
from noibo.wire.ollama import options

_MOST_INPUTS: Final = 2**14  # its clients send all they have in one request

router = APIRouter(prefix="/api", tags=["ollama"])


@dataclass(frozen=True, slots=True)
class _Texts:
    """One request for vectors. `began` is of the monotonic clock."""

    services: Services
    model: str
    inputs: list[str]
    caller: Caller
    keep_alive: float | None
    truncate: bool
    context: int
    dimensions: int | None
    began: float

    @classmethod
    def parse(cls, request: Request, fields: Fields, inputs: list[str]) -> _Texts:
        said = options.checked(field(fields, "options", dict[str, Any], {}))
        dimensions: int = field(fields, "dimensions", int, 0)
        caller = Caller.of(request)
        if dimensions < 0:
            raise InvalidRequest("dimensions: less than none.", param="dimensions")
        return cls(
            services_of(request),
            model_name(fields),
            inputs,
            caller,
            kept(fields),
            _truncates(fields, caller),
            said.get("num_ctx", 0),  # no other is of vectors
            dimensions or None,
            time.monotonic(),
        )

    async def vectors(self, reply: Reply) -> tuple[Embedded, float]:
        """The vectors, and how long the worker was waited for, in seconds."""
        tickets: list[Ticket] = []
        reply.headers += stood_in(self.services, self.model)
        say_after_s = self.services.settings.queue.say_after_s
        with Waiting(reply, say_after_s, streamed=False) as waiting:

            def told(ticket: Ticket) -> None:
                tickets.append(ticket)
                waiting.told(ticket)

            try:
                found = await embed(
                    self.services,
                    self.model,
                    self.inputs,
                    self.caller,
                    self.keep_alive,
                    self.dimensions,
                    self.truncate,
                    told=told,
                    most=self.context or None,
                )
            except ModelNotFound as error:
                raise ollama.not_found(self.model, error) from error
            await waiting.over()
        if (has := longest_input(found.worker)) < self.context:
            reply.headers.append(header(CONTEXT_HEADER, f"{has}; asked={self.context}"))
        if found.cut is not None:
            reply.headers.append(header(CUT_HEADER, found.cut.header()))
        return found, sum(ticket.waited_s for ticket in tickets)


def _truncates(fields: Fields, caller: Caller) -> bool:
    """Whether of a text that is too long its beginning is read; to be summarised it is not."""
    said = field(fields, "truncate", bool, True)
    return bool(said) if caller.context is None else caller.context is Policy.DROP_OLDEST


@router.post("/embed")
async def create(request: Request) -> Response:
    """A vector of length 1 for each text. Without one the model is loaded."""
    fields = await read_fields(request)
    given = field(fields, "input", str | list[str], [])
    inputs = ([given] if given else []) if isinstance(given, str) else given
    require_few(inputs, "input", _MOST_INPUTS)
    texts = _Texts.parse(request, fields, inputs)

    async def work(reply: Reply) -> bytes:
        found, waited_s = await texts.vectors(reply)

        def encode() -> bytes:
            answer = {
                "model": texts.model,
                "embeddings": [list(vector) for vector in found.vectors],
                "total_duration": ollama.nanoseconds(time.monotonic() - texts.began),
                "load_duration": ollama.nanoseconds(waited_s),
                "prompt_eval_count": found.prompt_tokens,
                **(found.cut.member() if found.cut else {}),
            }
            return msgspec.json.encode(answer)

        return await off_loop(sum(map(len, found.vectors)), encode)

    return Once(ollama.Voice(), work)


@router.post("/embeddings")
async def create_one(request: Request) -> Response:
    """The vector of one text, for old clients; without a text the model is loaded."""
    fields = await read_fields(request)
    prompt = field(fields, "prompt", str, "")
    texts = _Texts.parse(request, fields, [prompt] if prompt else [])

    async def work(reply: Reply) -> Json:
        found, _ = await texts.vectors(reply)
        more = found.cut.member() if found.cut else {}
        return {"embedding": [value for vector in found.vectors for value in vector], **more}

    return Once(ollama.Voice(), work)
