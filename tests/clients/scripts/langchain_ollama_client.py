"""`langchain-ollama`."""

from __future__ import annotations

from typing import Any

from calls import QUESTION, WEATHER, run
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from pydantic import BaseModel, Field


class City(BaseModel):
    """A city."""

    city: str = Field(max_length=40)
    people: int = Field(ge=0, le=99_999_999)


def chat(url: str, model: str) -> Any:
    return ChatOllama(base_url=url, model=model, num_predict=16).invoke(QUESTION).content


def stream(url: str, model: str) -> Any:
    parts = ChatOllama(base_url=url, model=model, num_predict=16).stream(QUESTION)
    return [part.content for part in parts if part.content]


def generate(url: str, model: str) -> Any:
    return OllamaLLM(base_url=url, model=model, num_predict=16).invoke(QUESTION)


def tools(url: str, model: str) -> Any:
    """The call itself is the model's choice."""
    bound = ChatOllama(base_url=url, model=model, num_predict=64).bind_tools([WEATHER])
    answer = bound.invoke(QUESTION)
    return [[call["name"] for call in answer.tool_calls], answer.content]


def structured(url: str, model: str) -> Any:
    made = ChatOllama(base_url=url, model=model, num_predict=200).with_structured_output(City)
    return made.invoke(QUESTION).model_dump()


def embeddings(url: str, model: str) -> Any:
    made = OllamaEmbeddings(base_url=url, model=model)
    return [len(row) for row in made.embed_documents(["one", "two"])]


run(chat, stream, generate, tools, structured, embeddings)
