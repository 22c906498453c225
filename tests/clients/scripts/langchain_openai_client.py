"""`langchain-openai`."""

from __future__ import annotations

from typing import Any

from calls import QUESTION, WEATHER, run
from city import City
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr


def model_of(url: str, model: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=url + "/v1", api_key=SecretStr("sk-none"), model=model, max_retries=0, **more
    )


def chat(url: str, model: str) -> Any:
    return model_of(url, model, max_tokens=16).invoke(QUESTION).content


def stream(url: str, model: str) -> Any:
    parts = model_of(url, model, max_tokens=16).stream(QUESTION)
    return [part.content for part in parts if part.content]


def tools(url: str, model: str) -> Any:
    bound = model_of(url, model, max_tokens=200).bind_tools([WEATHER], tool_choice="required")
    call = bound.invoke(QUESTION).tool_calls[0]
    return [call["name"], call["args"]]


def structured(url: str, model: str) -> Any:
    made = model_of(url, model, max_tokens=200).with_structured_output(City)
    return made.invoke(QUESTION).model_dump()


def structured_by_tool(url: str, model: str) -> Any:
    made = model_of(url, model, max_tokens=200).with_structured_output(
        City, method="function_calling"
    )
    return made.invoke(QUESTION).model_dump()


def embeddings(url: str, model: str) -> Any:
    """As its own documentation says for all but OpenAI. Where it may check the length of a text,
    it sends no text but numbers: tokens of cl100k, the vocabulary of OpenAI's models. To any other
    model they are the wrong words, and no server can tell."""
    made = OpenAIEmbeddings(
        base_url=url + "/v1",
        api_key=SecretStr("sk-none"),
        model=model,
        check_embedding_ctx_length=False,
    )
    return [len(row) for row in made.embed_documents(["one", "two"])]


run(chat, stream, tools, structured, structured_by_tool, embeddings)
