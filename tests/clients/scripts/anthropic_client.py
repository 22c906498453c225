"""The `anthropic` package."""

from __future__ import annotations

from typing import Any, Literal

from anthropic import Anthropic
from calls import QUESTION, WEATHER, run
from pydantic import BaseModel

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
TOOL: Any = {
    "name": WEATHER["function"]["name"],
    "description": WEATHER["function"]["description"],
    "input_schema": WEATHER["function"]["parameters"],
}


class City(BaseModel):
    """With a choice for each: the SDK sends no bounds, it writes them into descriptions."""

    city: Literal["Paris", "Lyon"]
    people: Literal[500_000, 2_000_000]


def client(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="sk-none", max_retries=0)


def chat(url: str, model: str) -> str:
    answer = client(url).messages.create(model=model, messages=MESSAGES, max_tokens=16)
    return answer.content[0].text


def stream(url: str, model: str) -> list[str]:
    with client(url).messages.stream(model=model, messages=MESSAGES, max_tokens=16) as events:
        return list(events.text_stream)


def tools(url: str, model: str) -> Any:
    answer = client(url).messages.create(
        model=model,
        messages=MESSAGES,
        max_tokens=200,
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "get_weather"},
    )
    call = next(block for block in answer.content if block.type == "tool_use")
    return [call.name, call.input]


def tools_streamed(url: str, model: str) -> Any:
    with client(url).messages.stream(
        model=model,
        messages=MESSAGES,
        max_tokens=200,
        tools=[TOOL],
        tool_choice={"type": "any"},
    ) as events:
        answer = events.get_final_message()
    call = next(block for block in answer.content if block.type == "tool_use")
    return [call.name, call.input]


def structured(url: str, model: str) -> Any:
    answer = client(url).messages.parse(
        model=model, messages=MESSAGES, max_tokens=200, output_format=City
    )
    return answer.parsed_output.model_dump()


def structured_streamed(url: str, model: str) -> Any:
    with client(url).messages.stream(
        model=model, messages=MESSAGES, max_tokens=200, output_format=City
    ) as events:
        return events.get_final_message().parsed_output.model_dump()


def count_tokens(url: str, model: str) -> Any:
    counted = client(url).messages.count_tokens(model=model, messages=MESSAGES)
    answer = client(url).messages.create(model=model, messages=MESSAGES, max_tokens=1)
    used = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    return [counted.input_tokens, used]


run(chat, stream, tools, tools_streamed, structured, structured_streamed, count_tokens)
