"""What an answer may be held to, and how much may be asked of one, on every route alike."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "integer"}
OF_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HI, "max_tokens": 4},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 4},
    "/completion": {"prompt": "Hi", "n_predict": 4},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 4},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 16},
}


def refused(http: httpx2.Client, path: str, **fields: Any) -> dict[str, Any]:
    answer = http.post(path, json=ASKED.get(path, {}) | fields)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize("path", ASKED)
def test_more_likely_tokens_than_are_named_at_once_are_refused(
    small: httpx2.Client, path: str
) -> None:
    said = refused(small, path, n_probs=101)["message"]
    assert "n_probs" in said
    assert "100" in said


def test_llama_cpps_other_name_for_them_is_bounded_too(small: httpx2.Client) -> None:
    assert "logprobs" in refused(small, "/completion", logprobs=101)["message"]


@pytest.mark.parametrize("path", [path for path in ASKED if path != "/v1/responses"])
@pytest.mark.parametrize(
    "forms",
    [
        {"grammar": 'root ::= "a"', "json_schema": SCHEMA},
        {"grammar": 'root ::= "a"', "response_format": OF_SCHEMA},
        {"json_schema": SCHEMA, "response_format": {"type": "json_object"}},
    ],
)
def test_an_answer_is_held_to_one_form(
    small: httpx2.Client, path: str, forms: dict[str, Any]
) -> None:
    said = refused(small, path, **forms)["message"]
    assert all(name in said for name in forms)


def test_a_form_that_asks_for_nothing_is_none(small: httpx2.Client) -> None:
    nothing = {"response_format": {"type": "text"}, "json_schema": None}
    for path in ("/v1/chat/completions", "/completion"):
        body = ASKED[path] | nothing | {"grammar": 'root ::= "yes"'}
        answer = small.post(path, json=body).json()
        said = answer.get("content") or answer["choices"][0]["message"]["content"]
        assert said == "yes"[: len(said)]


@pytest.mark.parametrize(
    "calls",
    [
        {"tools": "of", "tool_choice": "required"},
        {"tools": "of", "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"functions": "of", "function_call": {"name": "f"}},
    ],
)
def test_a_tool_that_cannot_be_kept_to_is_named_as_one(
    small: httpx2.Client, calls: dict[str, Any]
) -> None:
    name = "functions" if "functions" in calls else "tools"
    function = {"name": "f", "parameters": {"type": "object", "not": {}}}
    given = [function if name == "functions" else {"type": "function", "function": function}]
    error = refused(small, "/v1/chat/completions", **(calls | {name: given}))
    assert error["param"] == name
    assert error["message"].startswith(f"{name}: ")
    assert "json_schema" not in error["message"]


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize("part", [PICTURE, {"type": "wizard"}, {"type": "text"}])
def test_a_chat_that_is_only_looked_at_is_held_to_what_one_that_is_answered_is(
    small: httpx2.Client, part: dict[str, Any]
) -> None:
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}]}
    answered = refused(small, "/v1/chat/completions", **chat)["message"]
    for path in ("/apply-template", "/chat/completions/input_tokens"):
        assert refused(small, path, **chat)["message"] == answered
