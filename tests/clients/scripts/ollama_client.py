"""The `ollama` package."""

from __future__ import annotations

import json
from typing import Any

from calls import CALLER, CITY, QUESTION, RESULT, WEATHER, run
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
    """A call and, with its result, the next answer."""
    asked = Client(url).chat(CALLER, MESSAGES, tools=[WEATHER]).message
    call = asked.tool_calls[0].function
    result = {"role": "tool", "tool_name": call.name, "content": RESULT}
    after = Client(url).chat(CALLER, [*MESSAGES, asked, result], tools=[WEATHER])
    return [call.name, call.arguments, after.message.content]


def tools_read(url: str, model: str) -> Any:
    """How long the prompt is, without and with a tool."""
    return [
        Client(url).chat(model, MESSAGES, tools=tools, options={"num_predict": 1}).prompt_eval_count
        for tools in ([], [WEATHER])
    ]


def structured(url: str, model: str) -> Any:
    answer = Client(url).chat(model, MESSAGES, format=CITY, options={"num_predict": 200})
    return json.loads(answer.message.content or "")


def embeddings(url: str, model: str) -> Any:
    return [len(row) for row in Client(url).embed(model, ["one", "two"]).embeddings]


def models(url: str, model: str) -> Any:
    return [one.model for one in Client(url).list().models]


def show(url: str, model: str) -> Any:
    return Client(url).show(model).details.family


run(
    chat,
    stream,
    stream_async,
    generate,
    tools,
    tools_read,
    structured,
    embeddings,
    models,
    show,
)
