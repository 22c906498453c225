"""The `ollama` package."""

from __future__ import annotations

import json
from typing import Any

from calls import CITY, QUESTION, WEATHER, run
from ollama import AsyncClient, Client

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
SHORT: Any = {"num_predict": 16}


def chat(url: str, model: str) -> Any:
    return Client(url).chat(model, MESSAGES, options=SHORT).message.content


def stream(url: str, model: str) -> list[Any]:
    parts = Client(url).chat(model, MESSAGES, stream=True, options=SHORT)
    return [part.message.content for part in parts if part.message.content]


async def stream_async(url: str, model: str) -> list[Any]:
    parts = await AsyncClient(url).chat(model, MESSAGES, stream=True, options=SHORT)
    return [part.message.content async for part in parts if part.message.content]


def generate(url: str, model: str) -> Any:
    return Client(url).generate(model, QUESTION, options=SHORT).response


def tools(url: str, model: str) -> Any:
    """The call itself is the model's choice."""
    answer = Client(url).chat(model, MESSAGES, tools=[WEATHER], options={"num_predict": 64})
    calls = answer.message.tool_calls or []
    return [[call.function.name for call in calls], answer.message.content or ""]


def structured(url: str, model: str) -> Any:
    answer = Client(url).chat(model, MESSAGES, format=CITY, options={"num_predict": 200})
    return json.loads(answer.message.content or "")


def embeddings(url: str, model: str) -> Any:
    return [len(row) for row in Client(url).embed(model, ["one", "two"]).embeddings]


def models(url: str, model: str) -> Any:
    return [one.model for one in Client(url).list().models]


def show(url: str, model: str) -> Any:
    return Client(url).show(model).details.family


run(chat, stream, stream_async, generate, tools, structured, embeddings, models, show)
