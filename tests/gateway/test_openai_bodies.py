"""Bad bodies of OpenAI's generating routes: a 4xx in OpenAI's shape that names the field."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.gateway.openai_calls import ASK, MODEL, TOOLS
from tests.running import RunningServer

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
TALK: dict[str, Any] = {"model": MODEL, "messages": ASK, "max_tokens": 1}
CONTINUE: dict[str, Any] = {"model": MODEL, "prompt": "a", "max_tokens": 1}


def schema(inner: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": inner}}


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    """The error in an answer, in OpenAI's shape."""
    assert 400 <= answer.status_code < 500, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [1]}, "messages"),
        ({"messages": [{}]}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"role": "user", "content": {"text": "x"}}]}, "messages"),
        ({"messages": [{"role": "tool", "content": [[], None, 5]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"logit_bias": {"cat": 5}}, "logit_bias"),
        ({"logit_bias": {"99999999": 5}}, "logit_bias"),
        ({"logit_bias": {"5": 500}}, "logit_bias"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 2, "logprobs": False}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"tools": "x"}, "tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        ({"tools": [*TOOLS, TOOLS[0]]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "always"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}},
            "tool_choice",
        ),
        ({"functions": [], "function_call": "auto"}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"functions": [{"name": "f"}], "tools": TOOLS}, "functions"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": []}}, "response_format"),
        ({"response_format": schema([])}, "response_format"),
        ({"response_format": schema({"type": "wizard"})}, "response_format"),
        ({"response_format": schema({"$ref": "#/nowhere"})}, "response_format"),
        ({"response_format": schema({"not": {}})}, "response_format"),
        ({"grammar": "root ::= ("}, None),
        ({"grammar": "%llguidance {}\nstart: ("}, "grammar"),
        ({"json_schema": {"type": 5}}, "json_schema"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"reasoning_effort": "very"}, "reasoning_effort"),
        ({"verbosity": "high"}, "verbosity"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"metadata": {"a": 5}}, "metadata"),
        ({"store": "yes"}, "store"),
        ({"service_tier": "best"}, "service_tier"),
        ({"user": 5}, "user"),
        ({"top_k": "x"}, None),
        ({"model": 5}, "model"),
        ({"keep_alive": "soon"}, "keep_alive"),
    ],
)
def test_a_bad_chat_is_refused(real_server: RunningServer, more: Any, param: str | None) -> None:
    answer = httpx2.post(real_server.url + CHAT, json=TALK | more, timeout=60)
    error = error_of(answer)
    assert (answer.status_code, error["param"]) == (400, param), error
    assert param is None or param in error["message"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [99_999_999]}, None),
        ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 3, "stream": True}, "best_of"),
        ({"echo": 1}, "echo"),
        ({"suffix": 5}, "suffix"),
        ({"suffix": "the end"}, "suffix"),
    ],
)
def test_a_bad_completion_is_refused(
    real_server: RunningServer, more: Any, param: str | None
) -> None:
    answer = httpx2.post(real_server.url + TEXT, json=CONTINUE | more, timeout=60)
    error = error_of(answer)
    assert (answer.status_code, error["param"]) == (400, param), error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b'{"model": "smollm2:135m", "messages": [{"role": "user", "content": "x"}]',
        b'{"model": "a", "model": "b"}',
        b'{"temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": "\xff"}',
        b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(real_server: RunningServer, body: bytes) -> None:
    for path in (CHAT, TEXT):
        assert error_of(httpx2.post(real_server.url + path, content=body))["type"] == (
            "invalid_request_error"
        )


def test_a_model_that_nobody_has_is_a_404(real_server: RunningServer) -> None:
    for path, body in ((CHAT, TALK), (TEXT, CONTINUE)):
        answer = httpx2.post(real_server.url + path, json=body | {"model": "no/such:model"})
        assert answer.status_code == 404
        assert error_of(answer)["code"] == "model_not_found"


def test_a_prompt_that_is_too_long_says_so(real_server: RunningServer) -> None:
    for path, body in ((CHAT, TALK), (TEXT, CONTINUE | {"n": 2})):
        long = {"prompt": "word " * 3000, "messages": [{"role": "user", "content": "word " * 3000}]}
        more = {name: long[name] for name in long if name in body}
        answer = httpx2.post(real_server.url + path, json=body | more, timeout=60)
        assert error_of(answer)["code"] == "context_length_exceeded"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/images/generations",
        "/images/edits",
        "/moderations",
        "/fine_tuning/jobs",
        "/assistants",
        "/threads/t/messages",
        "/realtime/sessions",
        "/vector_stores",
        "/uploads",
        "/videos",
        "/chat/completions/chatcmpl-1",
        "/chat/completions/chatcmpl-1/messages",
    ],
)
def test_what_is_not_served_is_a_501_with_what_to_do(
    real_server: RunningServer, path: str, method: str
) -> None:
    answer = httpx2.request(method, f"{real_server.url}/v1{path}", content=b"{")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (501, "not_supported")
    assert error["type"] == "server_error"
    assert len(error["message"].split(". ")) > 1


def test_stored_chats_and_removing_models_are_refused_clearly(real_server: RunningServer) -> None:
    stored = httpx2.get(real_server.url + CHAT)
    assert (stored.status_code, stored.json()["error"]["code"]) == (501, "not_supported")
    removed = httpx2.delete(f"{real_server.url}/v1/models/{MODEL}")
    assert removed.status_code == 501
    assert "noibo rm" in removed.json()["error"]["message"]
    assert json.dumps(httpx2.get(real_server.url + "/v1/models").json()).count(MODEL)
