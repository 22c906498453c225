"""Who a caller is: told apart by key or address, and no key is kept."""

from __future__ import annotations

import hashlib

import httpx2
import pytest

from noibo.engines.supervision.claim import Priority
from noibo.errors import InvalidRequest
from noibo.gateway.callers import Caller
from tests.running import RunningServer, until

KEY = "sk-a-very-secret-key"
NAME = "key:" + hashlib.sha256(KEY.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer   {KEY}"},
        {"x-api-key": KEY},
        {"authorization": "Basic abc", "x-api-key": KEY},
    ],
)
def test_a_key_is_a_name_in_whatever_header_it_comes(headers: dict[str, str]) -> None:
    assert Caller.of(headers, "127.0.0.1").name == NAME


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer "}, {"x-api-key": " "}])
def test_without_a_key_the_address_is_the_name(headers: dict[str, str]) -> None:
    assert Caller.of(headers, "127.0.0.1").name == "127.0.0.1"
    assert Caller.of(headers, None).name == "local"


def test_a_request_can_say_that_it_can_wait() -> None:
    assert Caller.of({}, None).priority is Priority.INTERACTIVE
    assert Caller.of({"X-Noibo-Priority": "Batch"}, None).priority is Priority.BATCH


def test_a_priority_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="X-Noibo-Priority"):
        Caller.of({"X-Noibo-Priority": "urgent"}, None)


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
