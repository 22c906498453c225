"""Ollama's routes: chats and completions, embeddings; what is on the machine is in other files."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from noibo.gateway.callers import Caller
from noibo.gateway.off_loop import off_loop
from noibo.gateway.ollama import (
    routes_embed,
    routes_making,
    routes_models,
    routes_pull,
)
from noibo.gateway.ollama.asked import Asked
from noibo.gateway.ollama.conversation import Conversation
from noibo.gateway.ollama.turns import Chat, Completion
from noibo.gateway.reading import read_fields
from noibo.gateway.services import services_of
from noibo.wire import ollama
from noibo.wire.body import length

router = APIRouter(tags=["ollama"])
for part in (routes_embed, routes_making, routes_models, routes_pull):
    router.include_router(part.router)


@router.head("/", response_class=PlainTextResponse, include_in_schema=False)
@router.get("/", response_class=PlainTextResponse)
async def root() -> str:
    """What clients look for to see whether somebody is there."""
    return "Ollama is running"


@router.head("/api/version", include_in_schema=False)
@router.get("/api/version")
async def version() -> dict[str, str]:
    """The version of Ollama whose API this is."""
    return {"version": ollama.VERSION}


@router.post("/api/chat")
async def chat(request: Request) -> Response:
    """The next message of a chat; without messages the model is loaded, or unloaded."""
    return await _conversation(request, Chat)


@router.post("/api/generate")
async def generate(request: Request) -> Response:
    """The continuation of a prompt; without a prompt the model is loaded, or unloaded."""
    return await _conversation(request, Completion)


async def _conversation(request: Request, kind: type[Chat] | type[Completion]) -> Response:
    services = services_of(request)
    fields = await read_fields(request)
    caller = Caller.of(request)
    size = length(fields)
    asked, turn = await off_loop(size, lambda: (Asked.parse(fields), kind.parse(fields)))
    return Conversation(services, asked, turn, caller, size)
