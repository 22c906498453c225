"""Who a caller is: as the doorman found it; told apart by key or address, and no key is kept."""

from __future__ import annotations

import hashlib

import httpx2
import pytest
from starlette.requests import HTTPConnection

from noibo.access.grant import EVERYTHING, Grant
from noibo.engines.supervision.claim import Priority
from noibo.errors import InvalidRequest
from noibo.gateway.access import doorman
from noibo.gateway.access.arrival import Arrival
from noibo.gateway.access.identity import Identity
from noibo.gateway.callers import Caller
from tests.running import RunningServer, until

KEY = "sk-a-very-secret-key"
NAME = "key:" + hashlib.sha256(KEY.encode()).hexdigest()[:8]


def request(who: Identity, **headers: str) -> HTTPConnection:
    said = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": said}
    who.put(scope)
    return HTTPConnection(scope)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"authorization": f"Bearer {KEY}"}, KEY),
        ({"authorization": f"bearer   {KEY}"}, KEY),
        ({"x-api-key": KEY}, KEY),
        ({"authorization": "Basic abc", "x-api-key": KEY}, KEY),
        ({"authorization": "Bearer noibo_a", "x-api-key": KEY}, "noibo_a"),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "noibo_a"}, "noibo_a"),
        ({"authorization": "Bearer "}, ""),
        ({"authorization": KEY}, ""),
        ({"x-api-key": " "}, ""),
        ({}, ""),
    ],
)
def test_a_key_is_found_in_whatever_header_it_comes(headers: dict[str, str], found: str) -> None:
    said = {name.encode(): value.encode() for name, value in headers.items()}
    assert doorman.sent_key(Arrival(said, "localhost", forwarded=False, far=False)) == found


def test_a_caller_is_who_the_doorman_found() -> None:
    grant = Grant("user", ("qwen*",))
    caller = Caller.of(request(Identity("key:abc", "an", grant, "key:abc")))
    assert (caller.name, caller.owner, caller.grant, caller.by) == (
        *("key:abc", "an", grant),
        "key:abc",
    )
    local = Caller.of(request(Identity("127.0.0.1", near=True)))
    assert (local.owner, local.grant, local.by) == ("local", EVERYTHING, "")


def test_a_request_that_nobody_judged_is_nobodys() -> None:
    with pytest.raises(KeyError):
        Caller.of(HTTPConnection({"type": "http", "headers": []}))


def test_a_request_can_say_that_it_can_wait() -> None:
    who = Identity("127.0.0.1")
    assert Caller.of(request(who)).priority is Priority.INTERACTIVE
    assert Caller.of(request(who, x_noibo_priority="Batch")).priority is Priority.BATCH


def test_a_priority_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="X-Noibo-Priority"):
        Caller.of(request(Identity("127.0.0.1"), x_noibo_priority="urgent"))


def test_the_queue_shows_callers_and_priorities_but_no_key(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "a b", "stream": True, "x_echo": {"prefill_ms": 60_000}}
    headers = {"Authorization": f"Bearer {KEY}", "X-Noibo-Priority": "batch"}
    url = server.url + "/v1/completions"
    with (
        server.client() as client,
        httpx2.stream("POST", url, json=body, headers=headers, timeout=30),
    ):
        until(lambda: bool(client.queue().answering), "it is being answered")
        (row,) = client.queue().answering
    assert (row.model, row.caller, row.priority) == ("echo", NAME, "batch")
    assert KEY not in server.log.read_text()


def test_a_wrong_priority_and_a_wrong_keep_alive_are_400s_that_name_what(
    server: RunningServer,
) -> None:
    def refused(headers: dict[str, str], **more: object) -> tuple[int, str]:
        body = {"model": "echo", "prompt": "a"} | more
        answer = httpx2.post(server.url + "/v1/completions", json=body, headers=headers)
        return answer.status_code, answer.json()["error"]["param"]

    assert refused({"X-Noibo-Priority": "asap"}) == (400, "X-Noibo-Priority")
    assert refused({}, keep_alive="soon") == (400, "keep_alive")
