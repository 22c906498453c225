"""`litellm` as a client, over OpenAI's, Ollama's and Anthropic's API."""

from __future__ import annotations

import json
from typing import Any

import litellm
from calls import CITY, QUESTION, WEATHER, run

litellm.telemetry = False
MESSAGES = [{"role": "user", "content": QUESTION}]


def ask(url: str, model: str, **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{model}",
        api_base=url + "/v1",
        api_key="sk-none",
        messages=MESSAGES,
        num_retries=0,
        **({"max_tokens": 16} | more),
    )


def chat(url: str, model: str) -> Any:
    return ask(url, model).choices[0].message.content


def stream(url: str, model: str) -> Any:
    found = [part.choices[0].delta.content for part in ask(url, model, stream=True)]
    return [text for text in found if text]


def tools(url: str, model: str) -> Any:
    answer = ask(url, model, tools=[WEATHER], tool_choice="required", max_tokens=200)
    call = answer.choices[0].message.tool_calls[0].function
    return [call.name, json.loads(call.arguments)]


def structured(url: str, model: str) -> Any:
    shape = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    answer = ask(url, model, response_format=shape, max_tokens=200)
    return json.loads(answer.choices[0].message.content)


def embeddings(url: str, model: str) -> Any:
    answer = litellm.embedding(
        model=f"openai/{model}", api_base=url + "/v1", api_key="sk-none", input=["one", "two"]
    )
    return [len(row["embedding"]) for row in answer.data]


def ollama_chat(url: str, model: str) -> Any:
    answer = litellm.completion(
        model=f"ollama_chat/{model}", api_base=url, messages=MESSAGES, max_tokens=16
    )
    return answer.choices[0].message.content


def anthropic_chat(url: str, model: str) -> Any:
    answer = litellm.completion(
        model=f"anthropic/{model}",
        api_base=url,
        api_key="sk-none",
        messages=MESSAGES,
        max_tokens=16,
    )
    return answer.choices[0].message.content


run(chat, stream, tools, structured, embeddings, ollama_chat, anthropic_chat)
