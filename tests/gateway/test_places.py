"""Who may say from where something is fetched or read: names for all, places for who is near."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import Request

from noibo.errors import Forbidden, InvalidRequest
from noibo.gateway.access.identity import Identity
from noibo.gateway.places import require_near, require_source
from tests.gateway.admitting import Door
from tests.running import RunningServer

NAMES = ["smollm2:135m", "hf.co/org/repo:q4_0", "pypi:some-model", "github:a/b/c.gguf"]
PLACES = ["./x.gguf", "/etc/x.gguf", "http://10.0.0.1/x.gguf", "10.0.0.1:5000/a/b:c"]


def asked(*, near: bool) -> Request:
    request = Request({"type": "http", "headers": []})
    Identity("somebody", near=near).put(request.scope)
    return request


def test_who_is_near_may_name_places() -> None:
    for model in (*NAMES, *PLACES):
        require_source(asked(near=True), model)


def test_who_is_not_near_may_say_names_only() -> None:
    for model in NAMES:
        require_source(asked(near=False), model)
    for model in PLACES:
        with pytest.raises(Forbidden, match="server's machine"):
            require_source(asked(near=False), model)
    with pytest.raises(Forbidden):
        require_near(asked(near=False), "A path")


def test_an_admin_from_elsewhere_may_not_name_places(door: Door) -> None:
    for near in (False, True):
        with door.client(door.admin, near=near) as admin:
            for path, body in (
                ("/noibo/v1/models/add", {"path": "/etc/hostname"}),
                ("/noibo/v1/models/import", {"folders": ["/etc/hostname"]}),
                ("/noibo/v1/models/pull", {"model": "/etc/x.gguf", "stream": False}),
            ):
                answer = admin.post(path, json=body)
                assert (answer.status_code == 403) == (not near), (path, answer.text)


def test_ollamas_pull_takes_names_only(server: RunningServer) -> None:
    for model in PLACES[:3]:
        with pytest.raises(InvalidRequest, match="no name of a model"):
            require_source(asked(near=True), model, names_only=True)
        answer = httpx2.post(server.url + "/api/pull", json={"model": model})
        assert answer.status_code == 400
        assert "no name of a model" in answer.json()["error"]
