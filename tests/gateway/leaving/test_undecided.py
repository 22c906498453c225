"""No receipt says that a request stayed before that is decided: where it waits for a slot, where it
is worked on in the background, and where it is a line of a batch."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent, answers
from tests.gateway.leaving.test_every_way import CHAT, RESPONSES, batch, ended, turns
from tests.running import RunningServer

pytestmark = needs_network
TABLE = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 0
parallel = 1
"""


@pytest.fixture(scope="module")
def server(clouds: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("undecided") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLE.format(url=clouds.url))
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo", NOIBO_QUEUE_SAY_AFTER_S="0.05") as running:
        yield running


def told(front: httpx2.Client, request: str) -> dict[str, Any]:
    found: dict[str, Any] = front.get(f"/noibo/v1/receipts/{request}").json()
    return found


def test_one_that_waits_for_a_slot(front: httpx2.Client, cloud: Cloud) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler, sent: Sent) -> None:
        asked.set()
        go_on.wait(60)
        answers(handler, sent)

    cloud.script.answer = slow
    body = {"model": "cloud", "messages": turns("Why is the sky blue?")}
    first = threading.Thread(target=front.post, args=(CHAT,), kwargs={"json": body})
    first.start()
    assert asked.wait(60)
    with front.stream("POST", CHAT, json=body | {"stream": True}) as answer:
        request = answer.headers["x-request-id"]
        assert answer.headers["x-noibo-receipt"] == (
            f"not decided yet; see=/noibo/v1/receipts/{request}"
        )
        waiting = told(front, request)
        assert (waiting["receipt"], waiting["stayed"]) == ("not decided yet", None)
        go_on.set()
        answer.read()
    first.join()
    assert told(front, request)["receipt"] == "left this machine"


@pytest.mark.parametrize(
    ("label", "left"), [("internal", "left this machine"), ("secret", "stayed on this machine")]
)
def test_one_in_the_background(front: httpx2.Client, cloud: Cloud, label: str, left: str) -> None:
    body = {"model": "cloud", "input": "Why is the sky blue?", "background": True}
    answer = front.post(RESPONSES, json=body, headers={"X-Noibo-Label": label})
    assert answer.headers["x-noibo-receipt"].startswith("not decided yet; ")
    ended(front, answer.json()["id"])
    found = told(front, answer.headers["x-request-id"])
    assert (found["receipt"], found["label"]) == (left, label)


def test_one_that_is_cancelled_before_it_left(front: httpx2.Client, cloud: Cloud) -> None:
    go_on = threading.Event()

    def slow(handler: Handler, sent: Sent) -> None:
        go_on.wait(60)
        answers(handler, sent)

    cloud.script.answer = slow
    body = {"model": "cloud", "input": "Why is the sky blue?", "background": True}
    first, second = (front.post(RESPONSES, json=body) for _ in range(2))
    front.post(f"{RESPONSES}/{second.json()['id']}/cancel")
    assert told(front, second.headers["x-request-id"])["receipt"] == "stayed on this machine"
    go_on.set()
    ended(front, first.json()["id"])


def test_a_line_of_a_batch_has_a_receipt_by_the_id_in_its_result(
    front: httpx2.Client, cloud: Cloud
) -> None:
    made = batch(front, CHAT, [{"model": "cloud", "messages": turns("Gọi 0912 345 678")}])
    content = front.get(f"/v1/files/{made['output_file_id']}/content").text
    found = told(front, json.loads(content)["response"]["request_id"])
    assert found["receipt"] == "left this machine"
    assert found["sent"][0]["redacted"] == {"PHONE": 1}
