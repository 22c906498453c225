"""The `openai` package."""

from __future__ import annotations

import json
from typing import Any

from calls import CITY, QUESTION, WEATHER, run
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

MESSAGES: Any = [{"role": "user", "content": QUESTION}]


class City(BaseModel):
    city: str = Field(max_length=40)
    people: int = Field(ge=0, le=99_999_999)


def client(url: str) -> OpenAI:
    return OpenAI(base_url=url + "/v1", api_key="sk-none", max_retries=0)


def chat(url: str, model: str) -> str | None:
    answer = client(url).chat.completions.create(model=model, messages=MESSAGES, max_tokens=16)
    return answer.choices[0].message.content


def stream(url: str, model: str) -> list[str]:
    parts = client(url).chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=16, stream=True
    )
    return [c.choices[0].delta.content for c in parts if c.choices and c.choices[0].delta.content]


async def stream_async(url: str, model: str) -> list[str]:
    asking = AsyncOpenAI(base_url=url + "/v1", api_key="sk-none", max_retries=0)
    parts = await asking.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=16, stream=True
    )
    found = [part async for part in parts]
    return [c.choices[0].delta.content for c in found if c.choices and c.choices[0].delta.content]


def tools(url: str, model: str) -> Any:
    answer = client(url).chat.completions.create(
        model=model, messages=MESSAGES, tools=[WEATHER], tool_choice="required", max_tokens=200
    )
    call = answer.choices[0].message.tool_calls[0].function
    return [call.name, json.loads(call.arguments)]


def tools_streamed(url: str, model: str) -> Any:
    with client(url).chat.completions.stream(
        model=model, messages=MESSAGES, tools=[WEATHER], tool_choice="required", max_tokens=200
    ) as events:
        answer = events.get_final_completion()
    call = answer.choices[0].message.tool_calls[0].function
    return [call.name, json.loads(call.arguments)]


def structured(url: str, model: str) -> Any:
    answer = client(url).chat.completions.parse(
        model=model, messages=MESSAGES, response_format=City, max_tokens=200
    )
    return answer.choices[0].message.parsed.model_dump()


def structured_schema(url: str, model: str) -> Any:
    shape: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    answer = client(url).chat.completions.create(
        model=model, messages=MESSAGES, response_format=shape, max_tokens=200
    )
    return json.loads(answer.choices[0].message.content)


def embeddings(url: str, model: str) -> Any:
    answer = client(url).embeddings.create(model=model, input=["one", "two"])
    return [len(row.embedding) for row in answer.data]


def responses(url: str, model: str) -> Any:
    asking = client(url)
    first = asking.responses.create(model=model, input=QUESTION, max_output_tokens=16)
    second = asking.responses.create(
        model=model, input="And of Italy?", previous_response_id=first.id, max_output_tokens=16
    )
    return [first.output_text, second.output_text]


def models(url: str, model: str) -> Any:
    return [one.id for one in client(url).models.list()]


run(
    chat,
    stream,
    stream_async,
    tools,
    tools_streamed,
    structured,
    structured_schema,
    embeddings,
    responses,
    models,
)
