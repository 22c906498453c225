"""Ollama's options: each has an effect, is the machine's, or is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from noibo.errors import InvalidRequest
from noibo.wire.ollama import options
from noibo.wire.ollama.options import MACHINE, OPTIONS, checked, fields

GOOD: dict[str, Any] = {
    "seed": 42,
    "temperature": 0.1,
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.2,
    "typical_p": 0.7,
    "repeat_last_n": 33,
    "repeat_penalty": 1.3,
    "presence_penalty": 1.5,
    "frequency_penalty": -1.0,
    "mirostat": 2,
    "mirostat_tau": 4.0,
    "mirostat_eta": 0.2,
    "num_predict": 100,
    "stop": ["a", "b"],
    "num_keep": 5,
}
BAD: dict[str, list[Any]] = {
    "whole": ["7", 1.5, True, [1], {}, 2**60],
    "real": ["0.5", False, [0.1], {}],
    "switch": [1, "true", {}],
    "texts": [1, [1], ["a", 2], [""], {}],
}


def test_every_option_has_a_verdict() -> None:
    """With an effect in the engine's request, the worker's, the machine's, or refused."""
    told = {name for name, option in OPTIONS.items() if option.field}
    refused = {name for name, option in OPTIONS.items() if option.only is not None}
    assert told | refused | MACHINE | {"num_ctx"} == set(OPTIONS)
    assert not told & refused
    assert told == set(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_an_option_is_told_to_the_engine(name: str) -> None:
    told = fields(checked({name: GOOD[name]}), {})
    assert told[OPTIONS[name].field] == GOOD[name]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_type_is_refused_by_name(name: str) -> None:
    for value in BAD[OPTIONS[name].kind]:
        with pytest.raises(InvalidRequest) as refused:
            checked({name: value})
        assert refused.value.param == f"options.{name}"
        assert f"options.{name}" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1), ("top_p", 1.1), ("min_p", -1), ("typical_p", 2), ("mirostat", 3),
        ("repeat_penalty", 0), ("num_predict", -3), ("num_ctx", -1), ("repeat_last_n", -2),
        ("seed", 2**33), ("num_keep", -2),
    ],
)  # fmt: skip
def test_out_of_range_is_refused_with_what_is_allowed(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=rf"options\.{name}: .* out of range: .* to "):
        checked({name: value})


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("tfs_z", 1.0, 0.9),
        ("penalize_newline", True, False),
        ("logits_all", False, True),
        ("vocab_only", False, True),
        ("embedding_only", False, True),
    ],
)
def test_what_the_engine_has_not_may_only_be_asked_as_it_is(
    name: str, same: Any, other: Any
) -> None:
    assert checked({name: same}) == {name: same}
    with pytest.raises(InvalidRequest, match=f"options.{name}: the engine has no such"):
        checked({name: other})


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match=r"no 'temprature'.* Did you mean temperature"):
        checked({"temprature": 1})


def test_null_is_not_given_and_a_whole_number_may_have_a_point() -> None:
    assert checked({"top_k": 40.0, "top_p": None}) == {"top_k": 40}


def test_the_request_goes_before_the_model_and_that_before_what_is_usual() -> None:
    told = fields({"top_k": 1}, {"top_k": 2, "top_p": 0.3, "stop": ["x"]})
    assert (told["top_k"], told["top_p"], told["stop"]) == (1, 0.3, ["x"])
    assert told["repeat_penalty"] == options.USUAL["repeat_penalty"]


@pytest.mark.parametrize(("asked", "limit"), [(-1, -1), (-2, -1), (0, -1), (7, 7)])
def test_no_limit_has_three_names(asked: int, limit: int) -> None:
    assert fields({"num_predict": asked}, {"num_predict": 50})["max_tokens"] == limit
    assert fields({}, {"num_predict": asked})["max_tokens"] == limit
    assert fields({"num_predict": asked}, {}).get("max_tokens", -1) == limit


def test_a_negative_seed_is_another_each_time() -> None:
    assert fields({"seed": -7}, {})["seed"] == 2**32 - 1  # the engine's word for that
    assert fields({"seed": 7}, {})["seed"] == 7
