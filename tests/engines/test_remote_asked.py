"""What a server elsewhere is sent besides the question: fields that it knows, and noibo's key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keyring
import pytest

from noibo.engines.engine import Model
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.keys import key_of
from noibo.errors import SettingsError
from noibo.gateway.anthropic import request as anthropic_request
from noibo.settings import Settings, load
from noibo.wire import body
from tests.engines.elsewhere import HELLO

TABLE = '[models.big]\nengine = "remote"\nbase_url = "http://127.0.0.1:1/v1"\napi_key = '
KEY = "sk-of-the-other-server"
BAD = [f"{KEY}\nX-Other: 1", f"{KEY}\x00", f"khoá-{KEY}", f"“{KEY}”", f"{KEY}\x7f"]


def test_a_strict_server_gets_nothing_that_is_llama_cpps() -> None:
    asked = {"model": "m", "messages": HELLO, "max_tokens": 9, "stream": True}
    asked["stop_sequences"] = ["END"]
    fields = anthropic_request.read(
        body.read_fields(json.dumps(asked).encode()), Model("m", "remote", format="remote")
    ).fields
    assert {"verbose", "response_fields", "timings_per_token"} <= fields.keys()
    Remote({}).prepare(fields, streamed=True)
    assert set(fields) == {"messages", "max_tokens", "stop", "stream", "stream_options"}


# ── the key ─────────────────────────────────────────────────────────────────


def read(home: Path, said: str, **environ: str) -> Settings:
    home.mkdir(exist_ok=True)
    (home / "noibo.toml").write_text(TABLE + json.dumps(said, ensure_ascii=False))
    return load(environ={"NOIBO_HOME": str(home), **environ})


def in_the_keyring(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr(keyring, "get_password", lambda service, user: key)


def test_what_stands_round_a_key_is_no_part_of_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = f" {KEY}\r\n"
    in_the_keyring(monkeypatch, around)
    assert read(home, around).models["big"].api_key == KEY
    assert read(home, "env:THERE", THERE=around).models["big"].api_key == KEY
    assert key_of(around) == key_of(" keyring:noibo/big") == KEY


@pytest.mark.parametrize("bad", BAD)
def test_a_key_that_no_header_carries_is_refused_and_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    in_the_keyring(monkeypatch, bad)
    ways: list[Any] = [lambda: key_of(bad), lambda: key_of("keyring:noibo/big")]
    ways += [lambda: read(home, "env:THERE", THERE=bad)]
    if "\x00" not in bad and "\x7f" not in bad:  # TOML has no such signs in a string
        ways += [lambda: read(home, bad)]
    for way in ways:
        with pytest.raises(SettingsError, match="no header can carry") as error:
            way()
        assert KEY not in f"{error.value}{error.value.next_step}"


def test_a_variable_with_nothing_but_spaces_is_not_set(home: Path) -> None:
    said = read(home, "env:THERE", THERE=" \n").models["big"].api_key
    with pytest.raises(SettingsError, match="not set"):
        key_of(said)
