"""Vectors for texts: OpenAI's route, and llama-server's own."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from noibo.gateway import recorded
from noibo.gateway.embedding import Embedded, embed
from noibo.gateway.inquiry import Inquiry, Told, Work
from noibo.gateway.off_loop import off_loop
from noibo.wire import embeddings, llama_server, openai
from noibo.wire.embeddings import Asked

router = APIRouter()


@router.post("/v1/embeddings", tags=["openai"])
async def create(request: Request) -> Response:
    """Vectors for texts or tokens."""
    inquiry = await Inquiry.read(request)
    services = inquiry.services
    model = await services.resolve(inquiry.model)
    if services.supervisor.engine(model.engine).foreign:
        return inquiry.handed_on("/v1/embeddings", model)
    asked = await inquiry.parsed(embeddings.parse)
    return inquiry.once(openai.Voice(), _openai(inquiry, asked))


@router.post("/embedding", tags=["llama-server"])
@router.post("/embeddings", tags=["llama-server"])
async def create_native(request: Request) -> Response:
    """Vectors in llama-server's shape; in OpenAI's where `encoding_format` is asked for."""
    inquiry = await Inquiry.read(request)
    if "encoding_format" in inquiry.fields:  # only OpenAI's clients say so
        return inquiry.once(
            openai.Voice(), _openai(inquiry, await inquiry.parsed(embeddings.parse))
        )
    asked = await inquiry.parsed(embeddings.parse_native)

    async def work(told: Told) -> tuple[str, Any]:
        found = await _embed(inquiry, asked, told, with_rows=True)
        return found.worker.model.name, await off_loop(_numbers(found), _native, found)

    return inquiry.once(llama_server.Voice(), work)


def _openai(inquiry: Inquiry, asked: Asked) -> Work:
    async def work(told: Told) -> tuple[str, Any]:
        found = await _embed(inquiry, asked, told)
        name, tokens = found.worker.model.name, found.prompt_tokens

        def encode() -> bytes:
            answer = embeddings.answer(found.vectors, name, tokens, packed=asked.base64)
            return msgspec.json.encode(answer)

        return name, await off_loop(_numbers(found), encode)

    return work


def _numbers(found: Embedded) -> int:
    """How many there are to be told, about."""
    return (
        found.prompt_tokens * len(found.vectors[0]) if found.rows else sum(map(len, found.vectors))
    )


def _native(found: Embedded) -> bytes:
    if found.rows:
        return msgspec.json.encode(embeddings.native_answer_of_rows(found.rows))
    return msgspec.json.encode(embeddings.native_answer(found.vectors))


async def _embed(
    inquiry: Inquiry, asked: Asked, told: Told, *, with_rows: bool = False
) -> Embedded:
    recorded.note(inquiry.caller.name, {} if asked.user is None else {"user": asked.user})
    return await embed(
        inquiry.services,
        inquiry.model,
        asked.inputs,
        inquiry.caller,
        inquiry.keep_alive,
        asked.dimensions,
        told=told,
        more=asked.more,
        with_rows=with_rows,
    )
