"""Bad bodies and unknown routes: a 4xx in OpenAI's shape, never a 500."""

from __future__ import annotations

import httpx2
import pytest

from tests.running import RunningServer


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'"text"', None),
        (b"\xff\xfe\x00", None),
        (b'{"model": 5}', "model"),
        (b'{"model": "echo", "stream": "yes"}', "stream"),
        (b'{"model": ' + b"[" * 100_000, None),
    ],
)
def test_a_bad_body_is_a_400(server: RunningServer, body: bytes, param: str | None) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        answer = httpx2.post(server.url + path, content=body)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param


def test_a_body_over_the_limit_is_a_413(server: RunningServer) -> None:
    answer = httpx2.post(
        server.url + "/v1/completions", content=b"x" * (64 * 2**20 + 1), timeout=60
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_an_engines_refusal_comes_in_openais_shape(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "x", "x_echo": {"status": 418}}
    answer = httpx2.post(server.url + "/v1/completions", json=body, timeout=30)
    assert answer.status_code == 418
    assert answer.json()["error"] == {
        "message": "scripted failure",
        "type": "echo_error",
        "param": None,
        "code": "echo_error",
    }


def test_unknown_routes_and_methods_have_openais_shape(server: RunningServer) -> None:
    missing = httpx2.get(server.url + "/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = httpx2.get(server.url + "/v1/completions")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_answer_says_which_model_gave_it(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "xin chào"}
    answer = httpx2.post(server.url + "/v1/completions", json=body, timeout=30)
    assert answer.headers["x-noibo-model"] == "echo"
    assert answer.json()["choices"][0]["text"] == "xin chào"


def test_the_routes_are_described(server: RunningServer) -> None:
    found = httpx2.get(server.url + "/noibo/v1/openapi.json").json()["paths"]
    assert {"/v1/models", "/health", "/ready", "/noibo/v1/workers"} <= set(found)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"),
        *("/v1/responses", "/v1/batches", "/v1/messages", "/api/chat", "/api/embed"),
        *("/completion", "/tokenize"),
    ],
)
def test_a_body_of_a_million_values_is_a_400_everywhere(
    real_server: RunningServer, path: str
) -> None:
    body = b'{"model": "echo", "input": [' + b"[]," * 2**20 + b"[]]}"
    answer = httpx2.post(real_server.url + path, content=body, timeout=60)
    assert answer.status_code == 400
    assert "more than 1,048,576 values" in answer.text
