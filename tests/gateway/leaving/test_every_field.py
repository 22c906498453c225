"""No request of any API, with a secret in any field, reaches a server beyond this machine.

Each body is sent twice: to a server of one's own, which is told everything, and shows that the
field would go there; and to one that is not, which must not see it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud

pytestmark = needs_network
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
EMAIL = "lan.nguyen@congty-abc.vn"
MARK = "@@SECRET@@"
CHAT = "/v1/chat/completions"
HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def packed(text: str) -> str:
    return "data:text/plain;base64," + base64.b64encode(text.encode()).decode()


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {**TOOL["function"], **function}}  # type: ignore[dict-item]


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def openai(name: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return f"chat {name}", CHAT, {"messages": [HELLO], **fields}


def said(name: str, *messages: Any) -> tuple[str, str, dict[str, Any]]:
    return f"chat {name}", CHAT, {"messages": [*messages, HELLO]}


def schema(said: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", "description": said}}}


CASES: list[tuple[str, str, dict[str, Any]]] = [
    said("system", {"role": "system", "content": f"The key is {MARK}."}),
    said("developer", {"role": "developer", "content": f"The key is {MARK}."}),
    said("an early turn", {"role": "user", "content": f"The key is {MARK}."}, HELLO),
    said("parts", {"role": "user", "content": [{"type": "text", "text": f"Key {MARK}"}]}),
    said("an answer before", HELLO, {"role": "assistant", "content": f"It is {MARK}."}),
    said("thoughts", HELLO, {"role": "assistant", "content": "a", "reasoning_content": MARK}),
    said("a name", {"role": "user", "content": "Hi", "name": MARK}),
    said(
        "arguments of a call",
        HELLO,
        {
            **CALLED,
            "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": json.dumps({"key": MARK})}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ),
    said(
        "the result of a call",
        HELLO,
        CALLED,
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"key": MARK})},
    ),
    said(
        "a file",
        {
            "role": "user",
            "content": [{"type": "file", "file": {"file_data": MARK, "filename": "a.txt"}}],
        },
    ),
    said(
        "the name of a file",
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"file_data": packed("hi"), "filename": f"{MARK}.txt"}}
            ],
        },
    ),
    openai("description of a tool", tools=[tool(description=f"Use {MARK}")]),
    openai("schema of a tool", tools=[tool(parameters=schema(f"Use {MARK}"))]),
    openai(
        "default in a schema",
        tools=[tool(parameters={"type": "object", "properties": {"a": {"default": MARK}}})],
    ),
    openai("a name in a schema", tools=[tool(parameters={"properties": {MARK: {}}})]),
    openai("user", user=MARK),
    openai("metadata", metadata={"note": MARK}),
    openai("a key of metadata", metadata={MARK: "x"}),
    openai("stop", stop=[MARK]),
    openai(
        "the form of an answer",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": schema(f"as {MARK}")},
        },
    ),
    openai("prediction", prediction={"type": "content", "content": f"x = {MARK}"}),
    openai("an unknown field", its_own={"deep": [{"er": f"key {MARK}"}]}),
    openai("escaped", its_own=json.dumps({"deep": json.dumps({"er": f"key {MARK}"})})),
    openai("documents", documents=[{"title": "a", "text": f"The key: {MARK}"}]),
    openai("template variables", chat_template_kwargs={"note": f"key {MARK}"}),
    ("text prompt", "/v1/completions", {"prompt": f"The key is {MARK}"}),
    ("text prompts", "/v1/completions", {"prompt": ["Hello", f"The key is {MARK}"]}),
    ("text suffix", "/v1/completions", {"prompt": "a", "suffix": f"key {MARK}"}),
    ("text user", "/v1/completions", {"prompt": "a", "user": MARK}),
    ("native prompt", "/completion", {"prompt": f"The key is {MARK}"}),
    ("gap", "/infill", {"input_prefix": f"k = '{MARK}'", "input_suffix": "", "n_predict": 2}),
    ("vectors", "/v1/embeddings", {"input": f"The key is {MARK}"}),
    ("many vectors", "/v1/embeddings", {"input": ["a", f"The key is {MARK}"]}),
    ("native vectors", "/embedding", {"content": f"The key is {MARK}"}),
    ("ollama vectors", "/api/embed", {"input": f"The key is {MARK}"}),
    ("rank query", "/v1/rerank", {"query": f"key {MARK}", "documents": ["a"]}),
    ("rank documents", "/v1/rerank", {"query": "a", "documents": ["b", f"key {MARK}"]}),
    ("rank objects", "/v1/rerank", {"query": "a", "documents": [{"text": f"key {MARK}"}]}),
    ("tokens", "/tokenize", {"content": f"The key is {MARK}"}),
    ("template", "/apply-template", {"messages": [{"role": "user", "content": MARK}]}),
    ("count", "/v1/chat/completions/input_tokens", {"messages": [{**HELLO, "content": MARK}]}),
]


def anthropic(name: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return f"anthropic {name}", "/v1/messages", {"max_tokens": 9, "messages": [HELLO], **fields}


USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}
F = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


def turns(*parts: Any) -> dict[str, Any]:
    return {"messages": [HELLO, {"role": "assistant", "content": list(parts)}], "tools": [F]}


CASES += [
    anthropic("system", system=f"The key is {MARK}"),
    anthropic("system in blocks", system=[{"type": "text", "text": f"The key is {MARK}"}]),
    anthropic("text", messages=[{"role": "user", "content": f"key {MARK}"}]),
    anthropic(
        "blocks", messages=[{"role": "user", "content": [{"type": "text", "text": f"key {MARK}"}]}]
    ),
    anthropic(
        "arguments",
        messages=[
            HELLO,
            {"role": "assistant", "content": [{**USE, "input": {"key": MARK}}]},
            {"role": "user", "content": [RESULT]},
        ],
        tools=[F],
    ),
    anthropic(
        "result",
        messages=[
            HELLO,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [{**RESULT, "content": f"key {MARK}"}]},
        ],
        tools=[F],
    ),
    anthropic("description", tools=[{**F, "description": f"key {MARK}"}]),
    anthropic("schema", tools=[{**F, "input_schema": schema(f"key {MARK}")}]),
    anthropic("stop", stop_sequences=[MARK]),
    anthropic("metadata", metadata={"user_id": MARK}),
    anthropic(
        "document",
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "title": "notes",
                        "source": {"type": "text", "media_type": "text/plain", "data": MARK},
                    },
                    {"type": "text", "text": "Sum it up."},
                ],
            }
        ],
    ),
]


def response(name: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return f"response {name}", "/v1/responses", {"input": "Hello", "store": False, **fields}


FC = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
FO = {"type": "function_call_output", "call_id": "c1", "output": "done"}
CASES += [
    response("input", input=f"The key is {MARK}"),
    response("instructions", instructions=f"The key is {MARK}"),
    response(
        "parts",
        input=[{"role": "user", "content": [{"type": "input_text", "text": f"key {MARK}"}]}],
    ),
    response("arguments", input=[{**FC, "arguments": json.dumps({"k": MARK})}, FO]),
    response("output", input=[FC, {**FO, "output": f"key {MARK}"}]),
    response(
        "file",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_file", "filename": "a.txt", "file_data": MARK},
                    {"type": "input_text", "text": "Sum it up."},
                ],
            }
        ],
    ),
    response("tool", tools=[{"type": "function", "name": "f", "description": f"key {MARK}"}]),
    response("user", user=MARK),
    response(
        "form",
        text={"format": {"type": "json_schema", "name": "a", "schema": schema(f"key {MARK}")}},
    ),
]


def ollama(name: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return f"ollama {name}", "/api/chat", {"messages": [HELLO], "stream": False, **fields}


def prompted(name: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return f"ollama {name}", "/api/generate", {"prompt": "Hello", "stream": False, **fields}


CASES += [
    ollama("turn", messages=[{"role": "user", "content": f"key {MARK}"}]),
    ollama("system", messages=[{"role": "system", "content": f"key {MARK}"}, HELLO]),
    ollama(
        "arguments",
        messages=[
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {"key": MARK}}}],
            },
            {"role": "tool", "content": "done"},
        ],
    ),
    ollama(
        "result",
        messages=[
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {}}}],
            },
            {"role": "tool", "content": f"key {MARK}"},
        ],
    ),
    ollama("tool", tools=[tool(description=f"key {MARK}")]),
    ollama("form", format=schema(f"key {MARK}")),
    ollama("stop", options={"stop": [MARK]}),
    prompted("prompt", prompt=f"The key is {MARK}"),
    prompted("system of a prompt", system=f"The key is {MARK}"),
    prompted("raw", prompt=f"key {MARK}", raw=True),
]


def filled(value: Any, secret: str) -> Any:
    """The body with the secret in place; files are packed."""
    if isinstance(value, str):
        return value.replace(MARK, secret)
    if isinstance(value, list):
        return [filled(one, secret) for one in value]
    if isinstance(value, dict):
        return {
            name.replace(MARK, secret): packed(secret)
            if name == "file_data" and one == MARK
            else filled(one, secret)
            for name, one in value.items()
        }
    return value


def seen(cloud: Cloud, secret: str) -> bool:
    """Whether it is in anything that came, in whichever writing."""
    everything = cloud.everything()
    return secret in everything or base64.b64encode(secret.encode()).decode() in everything


@pytest.mark.parametrize(
    "streamed", [False, pytest.param(True, marks=pytest.mark.heavy)], ids=["whole", "streamed"]
)
@pytest.mark.parametrize(("path", "body"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_secret_in_any_field_stays(
    front: httpx2.Client, cloud: Cloud, path: str, body: dict[str, Any], streamed: bool
) -> None:
    if streamed and path not in {CHAT, "/v1/completions", "/v1/messages", "/v1/responses"}:
        body = body | ({"stream": True} if path.startswith("/api/") else {})
    elif streamed:
        body = body | {"stream": True}
    asked = filled(body, KEY)
    front.post(path, json=asked | {"model": "own"})
    goes = seen(cloud, KEY)
    cloud.sent.clear()
    answer = front.post(path, json=asked | {"model": "cloud"})
    assert not seen(cloud, KEY)
    if goes:
        assert answer.status_code in {403, 501}, answer.text
        assert KEY not in answer.text
        assert answer.headers["x-noibo-receipt"].startswith("stayed on this machine")


@pytest.mark.parametrize(("path", "body"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_what_is_personal_in_any_field_is_not_seen(
    front: httpx2.Client, cloud: Cloud, path: str, body: dict[str, Any]
) -> None:
    front.post(path, json=filled(body, EMAIL) | {"model": "cloud"})
    assert not seen(cloud, EMAIL)


@pytest.mark.heavy
def test_most_of_these_fields_would_go(front: httpx2.Client, cloud: Cloud) -> None:
    """The cases above say something: what is theirs alone to keep is the lesser part."""
    goes = 0
    for _, path, body in CASES:
        cloud.sent.clear()
        front.post(path, json=filled(body, KEY) | {"model": "own"})
        goes += seen(cloud, KEY)
    assert goes >= 0.8 * len(CASES)
