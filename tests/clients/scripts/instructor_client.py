"""`instructor`, in the three ways in which it asks for structure."""

from __future__ import annotations

from typing import Any

import instructor
from anthropic import Anthropic
from calls import QUESTION, run
from city import City
from openai import OpenAI

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
SHORT: Any = {"max_tokens": 200, "temperature": 0}


def _structured(url: str, model: str, mode: instructor.Mode) -> Any:
    openai = OpenAI(base_url=url + "/v1", api_key="sk-none", max_retries=0)
    asking = instructor.from_openai(openai, mode=mode)
    made = asking.chat.completions.create(
        model=model,
        messages=MESSAGES,
        response_model=City,
        max_tokens=200,
        temperature=0,
        max_retries=1,
    )
    return made.model_dump()


def structured_by_tool(url: str, model: str) -> Any:
    return _structured(url, model, instructor.Mode.TOOLS)


def structured_by_schema(url: str, model: str) -> Any:
    return _structured(url, model, instructor.Mode.JSON_SCHEMA)


def stream(url: str, model: str) -> Any:
    openai = OpenAI(base_url=url + "/v1", api_key="sk-none", max_retries=0)
    asking = instructor.from_openai(openai, mode=instructor.Mode.JSON_SCHEMA)
    parts = asking.chat.completions.create_partial(
        model=model, messages=MESSAGES, response_model=City, max_tokens=200, temperature=0
    )
    return [part.model_dump() for part in parts]


def anthropic_structured(url: str, model: str) -> Any:
    asking = instructor.from_anthropic(Anthropic(base_url=url, api_key="sk-none", max_retries=0))
    made = asking.messages.create(
        model=model,
        messages=MESSAGES,
        response_model=City,
        max_tokens=200,
        extra_body={"temperature": 0},  # the client itself has no word for it any more
        max_retries=2,
    )
    return made.model_dump()


run(structured_by_tool, structured_by_schema, stream, anthropic_structured)
