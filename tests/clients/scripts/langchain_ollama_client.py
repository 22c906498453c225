"""`langchain-ollama`."""

from __future__ import annotations

from typing import Any

from calls import CALLER, QUESTION, RESULT, WEATHER, run
from city import City
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM


def chat(url: str, model: str) -> Any:
    return ChatOllama(base_url=url, model=model, num_predict=16).invoke(QUESTION).content


def stream(url: str, model: str) -> Any:
    parts = ChatOllama(base_url=url, model=model, num_predict=16).stream(QUESTION)
    return [part.content for part in parts if part.content]


def generate(url: str, model: str) -> Any:
    return OllamaLLM(base_url=url, model=model, num_predict=16).invoke(QUESTION)


def tools(url: str, model: str) -> Any:
    """A call and, with its result, the next answer."""
    bound = ChatOllama(base_url=url, model=CALLER).bind_tools([WEATHER])
    asked = bound.invoke(QUESTION)
    call = asked.tool_calls[0]
    after = bound.invoke(
        [HumanMessage(QUESTION), asked, ToolMessage(RESULT, tool_call_id=call["id"])]
    )
    return [call["name"], call["args"], after.content]


def tools_read(url: str, model: str) -> Any:
    """How long the prompt is, without and with a tool."""
    plain = ChatOllama(base_url=url, model=model, num_predict=1)
    asked = (plain, plain.bind_tools([WEATHER]))
    return [one.invoke(QUESTION).usage_metadata["input_tokens"] for one in asked]


def structured(url: str, model: str) -> Any:
    made = ChatOllama(base_url=url, model=model, num_predict=200).with_structured_output(City)
    return made.invoke(QUESTION).model_dump()


def embeddings(url: str, model: str) -> Any:
    made = OllamaEmbeddings(base_url=url, model=model)
    return [len(row) for row in made.embed_documents(["one", "two"])]


run(chat, stream, generate, tools, tools_read, structured, embeddings)
