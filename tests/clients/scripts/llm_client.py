"""`llm`, through its Python API: OpenAI-compatible models, and its Ollama plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(FOLDER)

from calls import CALLER, CITY, QUESTION, run  # noqa: E402


def model_of(url: str, model: str) -> Any:
    (FOLDER / "extra-openai-models.yaml").write_text(
        "".join(
            f"- model_id: local-{name}\n  model_name: {name}\n  api_base: {url}/v1\n"
            "  supports_schema: true\n  supports_tools: true\n"
            for name in (model, CALLER)
        )
    )
    import llm

    found = llm.get_model(f"local-{model}")
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
    answer = model_of(url, model).prompt(QUESTION, schema=CITY, max_tokens=200, stream=False)
    return json.loads(answer.text())


def tools(url: str, model: str) -> Any:
    """A call, which llm itself carries out, and with its result the next answer."""
    talk = model_of(url, CALLER).conversation()
    asked = talk.prompt(QUESTION, tools=[get_weather], stream=False)
    call = asked.tool_calls()[0]
    results = asked.execute_tool_calls()
    after = talk.prompt("", tools=[get_weather], tool_results=results, stream=False)
    return [call.name, call.arguments, after.text()]


def tools_read(url: str, model: str) -> Any:
    """How long the prompt is, without and with a tool."""
    asking = model_of(url, model)
    return [
        asking.prompt(QUESTION, tools=tools, max_tokens=1, stream=False).usage().input
        for tools in ([], [get_weather])
    ]


def ollama_chat(url: str, model: str) -> Any:
    os.environ["OLLAMA_HOST"] = url
    import llm

    return llm.get_model(model).prompt(QUESTION, num_predict=16, stream=False).text()


def embeddings(url: str, model: str) -> Any:
    """Its plugin's: llm has none for addresses that speak OpenAI's API."""
    os.environ["OLLAMA_HOST"] = url
    import llm

    return [len(row) for row in llm.get_embedding_model(model).embed_multi(["one", "two"])]


def embed_command(url: str, model: str) -> Any:
    """`llm embed`, as people type it; its vector and that of the same text in Python."""
    os.environ["OLLAMA_HOST"] = url
    import llm

    command = [sys.executable, "-m", "llm", "embed", "-m", model, "-c", "one", "-f", "json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(said), llm.get_embedding_model(model).embed("one")]


run(
    chat,
    stream,
    structured,
    tools,
    tools_read,
    ollama_chat,
    embeddings,
    embed_command,
)
