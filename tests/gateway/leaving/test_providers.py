"""What is asked of a server elsewhere besides what the caller asks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.errors import InvalidRequest
from noibo.gateway.leaving.providers import asked_of
from noibo.wire.body import raw
from noibo.wire.openrouter import is_openrouter

CHAT = "/v1/chat/completions"


def asked(host: str, path: str = CHAT, **fields: Any) -> tuple[dict[str, Any], bool]:
    packed = {name: raw(value) for name, value in fields.items()}
    found, drops = asked_of(path, packed, openrouter=is_openrouter(host))
    return {name: msgspec.json.decode(value) for name, value in found.items()}, drops


@pytest.mark.parametrize("host", ["openrouter.ai", "eu.openrouter.ai"])
@pytest.mark.parametrize(
    "provider", [None, {"data_collection": "allow", "order": ["x"]}, "nonsense", []]
)
def test_openrouter_is_to_keep_nothing_whatever_is_asked(host: str, provider: Any) -> None:
    said = {} if provider is None else {"provider": provider}
    found, _ = asked(host, messages=[], **said)
    assert found["provider"]["data_collection"] == "deny"
    if isinstance(provider, dict):
        assert found["provider"]["order"] == ["x"]


@pytest.mark.parametrize("host", ["notopenrouter.ai", "openrouter.ai.example.com", "10.0.0.1"])
def test_others_are_asked_as_they_are(host: str) -> None:
    assert asked(host, messages=[]) == ({"messages": []}, False)


@pytest.mark.parametrize("name", ["models", "route", "preset"])
def test_openrouter_does_not_choose_the_model(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked("openrouter.ai", messages=[], **{name: ["a/dear-one"]})
    assert refused.value.param == name
    assert asked("openrouter.ai", messages=[], **{name: None})[0]["usage"] == {"include": True}
    assert asked("10.0.0.1", messages=[], **{name: ["x"]})[0][name] == ["x"]


def test_a_stream_is_asked_for_its_count() -> None:
    found, drops = asked("api.example.com", stream=True)
    assert (found["stream_options"], drops) == ({"include_usage": True}, True)
    found, drops = asked(
        "api.example.com", stream=True, stream_options={"include_usage": True, "other": 1}
    )
    assert (found["stream_options"], drops) == ({"include_usage": True, "other": 1}, False)


def test_vectors_are_asked_for_as_they_are_and_nothing_is_kept_of_them_either() -> None:
    assert asked("api.example.com", "/v1/embeddings", input="a") == ({"input": "a"}, False)
    kept = {"input": "a", "provider": {"data_collection": "deny"}}
    assert asked("openrouter.ai", "/v1/embeddings", input="a") == (kept, False)
    assert asked("openrouter.ai", "/tokenize", content="a") == ({"content": "a"}, False)
