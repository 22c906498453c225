from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.engines import asking
from noibo.modelstore.offer import Defaults


def asked(defaults: Defaults, chat: bool = True, **request: Any) -> dict[str, Any]:
    """The request's fields after the model's own were put in."""
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in request.items()}
    asking.apply(defaults, fields, chat=chat)
    return {name: msgspec.json.decode(value) for name, value in fields.items()}


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_parameters_fill_what_a_request_leaves_open() -> None:
    own = Defaults(parameters={"temperature": 0.1, "top_k": 5, "num_predict": 9, "num_ctx": 512})
    assert asked(own, top_k=7) == {"temperature": 0.1, "top_k": 7, "max_tokens": 9}


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_a_limit_by_any_name_is_a_limit(limit: str) -> None:
    assert asked(Defaults(parameters={"num_predict": 9}), **{limit: 3}) == {limit: 3}


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(None, ["#", "Q:"]), ("Q:", ["Q:", "#"]), (["x"], ["x", "#", "Q:"])],
)
def test_stop_strings_add_up(stop: Any, expected: list[str]) -> None:
    own = Defaults(parameters={"stop": ["#", "Q:"]})
    assert asked(own, stop=stop)["stop"] == expected


def test_a_stop_of_a_wrong_type_is_left_for_the_engine_to_refuse() -> None:
    assert asked(Defaults(parameters={"stop": ["#"]}), stop=5) == {"stop": 5}


def test_a_completion_gets_parameters_but_neither_stop_nor_system() -> None:
    own = Defaults(system="Be short.", parameters={"stop": ["#"], "seed": 1})
    assert asked(own, chat=False, prompt="x") == {"prompt": "x", "seed": 1}


def test_the_models_system_prompt_stands_where_a_request_has_none() -> None:
    own = Defaults(system="Be short.", messages=(said("user", "a"), said("assistant", "b")))
    assert asked(own, messages=[said("user", "Hi")])["messages"] == [
        said("system", "Be short."), *own.messages, said("user", "Hi"),
    ]  # fmt: skip
    for role in ("system", "developer"):
        given = [said(role, "Be long."), said("user", "Hi")]
        assert asked(own, messages=given)["messages"] == [given[0], *own.messages, given[1]]


@pytest.mark.parametrize("messages", [None, "Hi", [1], {}])
def test_messages_that_are_none_are_left_for_the_engine_to_refuse(messages: Any) -> None:
    assert asked(Defaults(system="x"), messages=messages) == {"messages": messages}


def test_a_model_that_brought_nothing_changes_nothing() -> None:
    assert asked(Defaults(), messages=[said("user", "Hi")], stop="x") == {
        "messages": [said("user", "Hi")],
        "stop": "x",
    }
