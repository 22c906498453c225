"""The most that a request can take, whatever its caller writes into it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.gateway.leaving import most
from noibo.wire.body import raw

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USUAL = most.USUAL_ANSWER


def of(path: str = CHAT, **fields: Any) -> int:
    return most.of_answers(path, {name: raw(value) for name, value in fields.items()})


def prompt(text: str) -> int:
    return most.of_prompt({"messages": raw([{"role": "user", "content": text}])})[0]


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ({}, USUAL),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 1, "max_completion_tokens": 50_000}, 50_000),
        ({"max_tokens": 50_000.0}, 50_000),
        ({"max_tokens": "50000"}, 50_000),
        ({"max_tokens": 10**400}, 10**12),
        ({"max_tokens": 0}, USUAL),
        ({"max_tokens": -1}, USUAL),
        ({"max_tokens": None}, USUAL),
        ({"max_tokens": [1]}, USUAL),
        ({"max_tokens": "NaN"}, USUAL),
        ({"num_predict": 1, "max_output_tokens": 1}, USUAL),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": 10, "n": 3.0}, 30),
        ({"max_tokens": 10, "n": "3"}, 30),
        ({"max_tokens": 10, "n": -3}, 10),
    ],
    ids=str,
)
def test_of_limits_the_widest_counts_and_what_is_none_does_not(
    said: dict[str, Any], tokens: int
) -> None:
    assert of(**said) == tokens


def test_each_prompt_of_a_list_has_its_answers() -> None:
    assert of(TEXT, prompt=["a", "b", "c"], max_tokens=10) == 30
    assert of(TEXT, prompt=[[1, 2], [3]], max_tokens=10, n=2) == 40
    assert of(TEXT, prompt=[1, 2, 3], max_tokens=10) == 10
    assert of(TEXT, prompt="a", max_tokens=10, n=2, best_of=5) == 50


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_an_embedding_writes_nothing(path: str) -> None:
    assert of(path, input="a") == 0


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("api.openai.com", CHAT, "max_completion_tokens"),
        ("api.openai.com", TEXT, "max_tokens"),
        ("openrouter.ai", CHAT, "max_tokens"),
    ],
)
def test_an_answer_without_an_end_is_given_one(host: str, path: str, name: str) -> None:
    for said in ({}, {"max_tokens": -1}, {"max_completion_tokens": None, "max_tokens": 0}):
        fields: dict[str, Any] = {key: raw(value) for key, value in said.items()}
        most.limited(host, path, fields)
        found = {key: msgspec.json.decode(value) for key, value in fields.items()}
        assert found == {name: USUAL}
    asked: dict[str, Any] = {"max_tokens": raw(5)}
    most.limited(host, path, asked)
    assert asked == {"max_tokens": raw(5)}


def test_a_text_that_few_tokenisers_join_is_counted_by_its_bytes() -> None:
    assert prompt("7" * 1000) >= 1000
    assert prompt("漢" * 1000) >= 3000
    assert 500 <= prompt("hello " * 200) < 800
    small, pictures = most.of_prompt({"x": raw("data:image/png;base64," + "A" * 10**6)})
    assert (pictures, small < 5000) == (1, True)
