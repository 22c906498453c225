"""What the tests of OpenAI's generating routes ask, each as short as it may be."""

from __future__ import annotations

from typing import Any

import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

MODEL = "smollm2:135m"
ASK = [{"role": "user", "content": "Hi"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Hue"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},
]


def chat(client: openai.OpenAI, **fields: Any) -> ChatCompletion:
    asked = {"model": MODEL, "messages": ASK, "max_tokens": 3, "temperature": 0} | fields
    answer: ChatCompletion = client.chat.completions.create(**asked)
    return answer


def chunks(client: openai.OpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    return list(chat(client, stream=True, **fields))  # type: ignore[arg-type]


def text(client: openai.OpenAI, **fields: Any) -> Completion:
    asked = {"model": MODEL, "prompt": "The sky is", "max_tokens": 3, "temperature": 0} | fields
    answer: Completion = client.completions.create(**asked)
    return answer


def pieces(client: openai.OpenAI, **fields: Any) -> list[Completion]:
    return list(text(client, stream=True, **fields))  # type: ignore[arg-type]


def said(answer: ChatCompletion, index: int = 0) -> str:
    return answer.choices[index].message.content or ""


def refused(error: openai.APIStatusError, param: str) -> bool:
    """True if it is a 400 that names the field."""
    body: Any = error.body
    return error.status_code == 400 and body["param"] == param and param in body["message"]
