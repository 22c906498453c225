"""`llama-index`, over OpenAI's API and over Ollama's."""

from __future__ import annotations

from typing import Any

from calls import QUESTION, run
from city import City
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike

ASKED = [ChatMessage(role="user", content=QUESTION)]


def model_of(url: str, model: str, most: int) -> OpenAILike:
    return OpenAILike(
        model=model,
        api_base=url + "/v1",
        api_key="sk-none",
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        context_window=2048,
        max_tokens=most,
        max_retries=0,
    )


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}."


def chat(url: str, model: str) -> Any:
    return model_of(url, model, 16).chat(ASKED).message.content


def complete(url: str, model: str) -> Any:
    return model_of(url, model, 16).complete(QUESTION).text


def stream(url: str, model: str) -> Any:
    return [part.delta for part in model_of(url, model, 16).stream_chat(ASKED) if part.delta]


def tools(url: str, model: str) -> Any:
    made = model_of(url, model, 200)
    tool = FunctionTool.from_defaults(fn=get_weather)
    answer = made.chat_with_tools([tool], user_msg=QUESTION, tool_required=True)
    call = made.get_tool_calls_from_response(answer)[0]
    return [call.tool_name, call.tool_kwargs]


def structured(url: str, model: str) -> Any:
    answer = model_of(url, model, 200).as_structured_llm(City).chat(ASKED)
    return answer.raw.model_dump()


def embeddings(url: str, model: str) -> Any:
    made = OpenAILikeEmbedding(model_name=model, api_base=url + "/v1", api_key="sk-none")
    return [len(row) for row in made.get_text_embedding_batch(["one", "two"])]


def ollama_chat(url: str, model: str) -> Any:
    made = Ollama(model=model, base_url=url, additional_kwargs={"num_predict": 16})
    return made.chat(ASKED).message.content


def ollama_stream(url: str, model: str) -> Any:
    made = Ollama(model=model, base_url=url, additional_kwargs={"num_predict": 16})
    return [part.delta for part in made.stream_chat(ASKED) if part.delta]


def ollama_embeddings(url: str, model: str) -> Any:
    made = OllamaEmbedding(model_name=model, base_url=url)
    return [len(row) for row in made.get_text_embedding_batch(["one", "two"])]


run(
    chat,
    complete,
    stream,
    tools,
    structured,
    embeddings,
    ollama_chat,
    ollama_stream,
    ollama_embeddings,
)
