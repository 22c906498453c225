"""What people already have works unchanged: each client, each call, against a real model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.clients.conftest import Told

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

SIZE = 576  # of SmolLM2's vectors
Holds = Callable[[Any], object]


def is_text(said: Any) -> bool:
    return isinstance(said, str) and bool(said.strip())


def is_stream(said: Any) -> bool:
    return len(said) > 1 and all(isinstance(part, str) for part in said)


def is_call(said: Any) -> bool:
    name, arguments = said
    return name == "get_weather" and isinstance(arguments["city"], str)


def is_call_and_result(said: Any) -> bool:
    return bool(said == ["get_weather", {"city": "Paris"}, "Sunny in Paris."])


def grows(said: Any) -> bool:
    return bool(said[0] < said[1])


def is_city(said: Any) -> bool:
    return isinstance(said["city"], str) and isinstance(said["people"], int)


def is_city_in_parts(said: Any) -> bool:
    """Each part goes on from the one before it; one at the end, or two, are no stream."""
    names = [part.get("city") or "" for part in said]
    goes_on = all(later.startswith(name) for name, later in pairwise(names))
    return goes_on and len({tuple(part.values()) for part in said}) > 2 and is_city(said[-1])


def is_vectors(said: Any) -> bool:
    return bool(said == [SIZE, SIZE])


def is_one_vector(said: Any) -> bool:
    command, python = said
    return len(command) == SIZE and bool(command == python)


def names_the_model(said: Any) -> bool:
    return "smollm2:135m" in said


def are_texts(said: Any) -> bool:
    return len(said) == 2 and all(map(is_text, said))


def are_equal(said: Any) -> bool:
    return bool(said[0] == said[1])


CALLS: dict[str, dict[str, Holds]] = {
    "openai": {
        "chat": is_text,
        "stream": is_stream,
        "stream_async": is_stream,
        "tools": is_call,
        "tools_streamed": is_call,
        "structured": is_city,
        "structured_schema": is_city,
        "embeddings": is_vectors,
        "responses": are_texts,
        "models": names_the_model,
    },
    "node/openai": {
        "chat": is_text,
        "stream": is_stream,
        "tools": is_call,
        "structured": is_city,
        "embeddings": is_vectors,
        "responses": is_text,
    },
    "ollama": {
        "chat": is_text,
        "stream": is_stream,
        "stream_async": is_stream,
        "generate": is_text,
        "tools": is_call_and_result,
        "tools_read": grows,
        "structured": is_city,
        "embeddings": is_vectors,
        "models": names_the_model,
        "show": is_text,
    },
    "node/ollama": {
        "chat": is_text,
        "stream": is_stream,
        "tools": is_call_and_result,
        "tools_read": grows,
        "structured": is_city,
        "embeddings": is_vectors,
        "models": names_the_model,
    },
    "anthropic": {
        "chat": is_text,
        "stream": is_stream,
        "tools": is_call,
        "tools_streamed": is_call,
        "structured": is_city,
        "structured_streamed": is_city,
        "count_tokens": are_equal,
    },
    "langchain_openai": {
        "chat": is_text,
        "stream": is_stream,
        "tools": is_call,
        "structured": is_city,
        "structured_by_tool": is_city,
        "embeddings": is_vectors,
    },
    "langchain_ollama": {
        "chat": is_text,
        "stream": is_stream,
        "generate": is_text,
        "tools": is_call_and_result,
        "tools_read": grows,
        "structured": is_city,
        "embeddings": is_vectors,
    },
    "llama_index": {
        "chat": is_text,
        "complete": is_text,
        "stream": is_stream,
        "tools": is_call,
        "structured": is_city,
        "embeddings": is_vectors,
        "ollama_chat": is_text,
        "ollama_stream": is_stream,
        "ollama_embeddings": is_vectors,
    },
    "litellm": {
        "chat": is_text,
        "stream": is_stream,
        "tools": is_call,
        "structured": is_city,
        "embeddings": is_vectors,
        "ollama_chat": is_text,
        "anthropic_chat": is_text,
    },
    "instructor": {
        "structured_by_tool": is_city,
        "structured_by_schema": is_city,
        "stream": is_city_in_parts,
        "anthropic_structured": is_city,
    },
    "llm": {
        "chat": is_text,
        "stream": is_stream,
        "structured": is_city,
        "tools": is_call_and_result,
        "tools_read": grows,
        "ollama_chat": is_text,
        "embeddings": is_vectors,
        "embed_command": is_one_vector,
    },
}


@pytest.mark.parametrize(
    ("client", "call"), [(client, call) for client, calls in CALLS.items() for call in calls]
)
def test_a_client_that_people_have_works_unchanged(
    client: str, call: str, told: Callable[[str], Told]
) -> None:
    said = told(client)[call]
    assert "ok" in said, said["error"]
    assert CALLS[client][call](said["ok"]), said["ok"]
