"""`llm`, through its Python API: OpenAI-compatible models, and its Ollama plugin."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(FOLDER)

from calls import CITY, QUESTION, run  # noqa: E402


def model_of(url: str, model: str) -> Any:
    (FOLDER / "extra-openai-models.yaml").write_text(
        f"- model_id: local\n  model_name: {model}\n  api_base: {url}/v1\n"
        "  supports_schema: true\n  supports_tools: true\n"
    )
    import llm

    found = llm.get_model("local")
    found.key = "sk-none"
    return found


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}."


def chat(url: str, model: str) -> Any:
    return model_of(url, model).prompt(QUESTION, max_tokens=16, stream=False).text()


def stream(url: str, model: str) -> Any:
    return [part for part in model_of(url, model).prompt(QUESTION, max_tokens=16) if part]


def structured(url: str, model: str) -> Any:
    import json

    answer = model_of(url, model).prompt(QUESTION, schema=CITY, max_tokens=200, stream=False)
    return json.loads(answer.text())


def tools(url: str, model: str) -> Any:
    """The call itself is the model's choice."""
    answer = model_of(url, model).prompt(QUESTION, tools=[get_weather], max_tokens=64, stream=False)
    return [[call.name for call in answer.tool_calls()], answer.text()]


def ollama_chat(url: str, model: str) -> Any:
    os.environ["OLLAMA_HOST"] = url
    import llm

    return llm.get_model(model).prompt(QUESTION, num_predict=16, stream=False).text()


run(chat, stream, structured, tools, ollama_chat)
