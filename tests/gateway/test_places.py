"""Who may say from where something is fetched or read: names for all, places for who is near."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import Request

from noibo.errors import Forbidden, InvalidRequest
from noibo.gateway.places import require_near, require_source
from tests.running import RunningServer

NAMES = ["smollm2:135m", "hf.co/org/repo:q4_0", "pypi:some-model", "github:a/b/c.gguf"]
PLACES = ["./x.gguf", "/etc/x.gguf", "http://10.0.0.1/x.gguf", "10.0.0.1:5000/a/b:c"]


def by(address: str | None) -> Request:
    client = None if address is None else (address, 1)
    return Request({"type": "http", "headers": [], "client": client})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_is_near_may_name_places(address: str) -> None:
    for model in (*NAMES, *PLACES):
        require_source(by(address), model)


@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "testclient", None])
def test_who_is_not_near_may_say_names_only(address: str | None) -> None:
    for model in NAMES:
        require_source(by(address), model)
    for model in PLACES:
        with pytest.raises(Forbidden, match="server's machine"):
            require_source(by(address), model)
    with pytest.raises(Forbidden):
        require_near(by(address), "A path")


def test_ollamas_pull_takes_names_only(server: RunningServer) -> None:
    for model in PLACES[:3]:
        with pytest.raises(InvalidRequest, match="no name of a model"):
            require_source(by("127.0.0.1"), model, names_only=True)
        answer = httpx2.post(server.url + "/api/pull", json={"model": model})
        assert answer.status_code == 400
        assert "no name of a model" in answer.json()["error"]
