"""Addresses as users type them, and those that stay closed."""

from __future__ import annotations

import asyncio

import pytest

from noibo.errors import EgressRefused, ServerUnreachable, Unauthorized, UsageError
from noibo.evaluation.answer import Failure, Kind
from noibo.evaluation.rounds import Plan
from noibo.evaluation.sides import DIALECTS, Side, address
from noibo.evaluation.theirs import error_of, found
from noibo.evaluation.wanted import Wanted, tariff


@pytest.mark.parametrize(
    "typed",
    [
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/",
        "http://127.0.0.1:8000/v1",
        "http://127.0.0.1:8000/v1/",
        "http://127.0.0.1:8000/v1/chat/completions",
    ],
)
def test_an_address_may_be_typed_in_any_of_its_forms(typed: str) -> None:
    side = Side("a", address(typed), "m")
    assert side.chat_url == "http://127.0.0.1:8000/v1/chat/completions"
    assert side.models_url == "http://127.0.0.1:8000/v1/models"


def test_a_path_of_its_own_stays() -> None:
    assert address("http://localhost:1/api/openai") == "http://localhost:1/api/openai"
    assert address("http://[::1]:1") == "http://[::1]:1/v1"


@pytest.mark.parametrize("url", ["http://10.0.0.1/v1", "https://api.example/v1", "http://0.0.0.0"])
def test_beyond_this_machine_nothing_is_open_but_through_noibo(url: str) -> None:
    with pytest.raises(EgressRefused, match="through noibo") as caught:
        address(url)
    assert url in caught.value.next_step


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://[::1", "x"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        address(url)
    assert "http://127.0.0.1:8000/v1" in caught.value.next_step


def test_a_key_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        address("http://me:hunter2@127.0.0.1:1/v1")
    assert "hunter2" not in str(caught.value)
    assert "--vs-key-env" in caught.value.next_step


def test_a_key_comes_from_a_variable_and_is_never_shown() -> None:
    side = Wanted("http://127.0.0.1:1", key_env="K").side({"K": "hunter2"})
    assert side.headers == {"Authorization": "Bearer hunter2"}
    assert "hunter2" not in repr(side)
    with pytest.raises(UsageError, match="no variable K"):
        Wanted("http://127.0.0.1:1", key_env="K").side({})


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1", ""])
def test_prices_are_two_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="--vs-price"):
        tariff(text)
    assert tariff("0.15,0.6").written == 0.6


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": ()},
        {"concurrency": (0,)},
        {"concurrency": (1, 1000)},
        {"rounds": 0},
        {"requests": 0},
        {"tokens": 0},
        {"prompt_tokens": 0},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"patience_s": -1},
        {"shared_prefix": 128},
        {"shared_prefix": -1},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--"):
        Plan(**wrong)  # type: ignore[arg-type]


def test_each_dialect_leaves_out_what_some_servers_refuse() -> None:
    every = DIALECTS[0].fields(7)
    assert every["max_tokens"] == 7
    assert every.keys() - DIALECTS[1].fields(7).keys() == {"ignore_eos"}
    assert every.keys() - DIALECTS[2].fields(7).keys() == {"stream_options"}
    assert "max_completion_tokens" in DIALECTS[3].fields(7)
    assert set(DIALECTS[-1].fields(7)) == {"stream", "max_tokens"}


def test_a_name_from_another_server_cannot_drive_the_terminal() -> None:
    side = asyncio.run(found(Side("", "http://127.0.0.1:1/v1", "m\x1b[2J")))
    assert side.name == r"m\x1b[2J @ 127.0.0.1:1"


def test_failures_become_errors_that_say_what_to_do() -> None:
    side = Side("m @ x", "http://127.0.0.1:1/v1", "m")
    unreachable = error_of(side, Failure(Kind.UNREACHABLE, "refused"))
    assert isinstance(unreachable, ServerUnreachable)
    assert "curl http://127.0.0.1:1/v1/models" in unreachable.next_step
    assert isinstance(error_of(side, Failure(Kind.REFUSED, "")), Unauthorized)
    assert all(error_of(side, Failure(kind, "x")).next_step for kind in Kind)
