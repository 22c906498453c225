"""Responses in the background from virtual models: who answers, who follows, what is checked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.wire import sse
from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent, answers
from tests.gateway.leaving.test_every_way import RESPONSES, TABLES, ended
from tests.running import RunningServer

pytestmark = needs_network
REFUSAL = "I'm sorry, but I can't help with that request."
QUESTION = "What is the capital of Vietnam?"
FEW = """
[virtual.few]
candidates = ["cloud", "other"]
strategy = "api_only"
max_api_calls_per_hour = 1
"""


@pytest.fixture(scope="module")
def server(clouds: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("behind") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text((TABLES + FEW).format(url=clouds.url))
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo") as running:
        yield running


def response(front: httpx2.Client, model: str, text: str, **more: Any) -> dict[str, Any]:
    asked = {"model": model, "input": text, "background": True, **more}
    answer = front.post(RESPONSES, json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-noibo-route"].startswith(f"{model}; ")
    assert answer.json()["status"] == "queued"
    return ended(front, answer.json()["id"])


def text_of(found: dict[str, Any]) -> str:
    return str(found["output"][0]["content"][0]["text"])


def refusing(*models: str) -> Any:
    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] in models:
            handler.say(500, {"error": {"message": "no"}})
        else:
            answers(handler, sent)

    return answer


def test_the_first_of_the_plan_answers(front: httpx2.Client, cloud: Cloud) -> None:
    found = response(front, "either", f"{QUESTION} 1")
    assert (found["status"], found["model"], text_of(found)) == (
        "completed",
        "cloud",
        f"{QUESTION} 1",
    )


def test_the_next_answers_where_the_first_fails(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.answer = refusing("cloud")
    found = response(front, "either", f"{QUESTION} 2")
    assert (found["status"], found["model"]) == ("completed", "other")
    cloud.script.answer = refusing("cloud", "other-there")
    found = response(front, "either", f"{QUESTION} 3")
    assert (found["status"], found["model"]) == ("completed", "echo")


def test_the_next_answers_where_the_first_begins_with_an_error(
    front: httpx2.Client, cloud: Cloud
) -> None:
    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            return answers(handler, sent)
        handler.begin()
        handler.event({"error": {"message": "the provider is down"}, "choices": []})
        return None

    cloud.script.answer = answer
    found = response(front, "either", f"{QUESTION} 4")
    assert (found["status"], found["model"]) == ("completed", "other")


def test_a_local_answer_that_is_not_good_is_followed(front: httpx2.Client, cloud: Cloud) -> None:
    """What it has written is neither told nor kept."""
    found = response(front, "steps", REFUSAL)
    assert (found["status"], found["model"]) == ("completed", "cloud")
    assert len(found["output"]) == 1 and text_of(found) == REFUSAL
    assert len(cloud.sent) == 1


def test_a_local_answer_that_is_not_good_is_given_where_nobody_follows(
    front: httpx2.Client, cloud: Cloud
) -> None:
    cloud.script.answer = refusing("cloud")
    found = response(front, "steps", f"{REFUSAL} Sorry.")
    assert (found["status"], found["model"]) == ("completed", "echo")
    assert text_of(found) == f"{REFUSAL} Sorry."
    assert len(cloud.sent) > 0


def test_the_next_answers_where_the_first_cannot_even_be_asked(
    front: httpx2.Client, cloud: Cloud
) -> None:
    """As where somebody waits for it: the model of this machine takes no effort."""
    found = response(front, "steps", f"{QUESTION} 7", reasoning={"effort": "high"})
    assert (found["status"], found["model"]) == ("completed", "cloud")
    assert len(cloud.sent) == 1


def test_what_nobody_can_be_asked_is_refused(front: httpx2.Client, cloud: Cloud) -> None:
    asked = {"model": "steps", "input": QUESTION, "background": True, "temperature": "hot"}
    answer = front.post(RESPONSES, json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "temperature"
    assert cloud.sent == []


@pytest.mark.parametrize("model", ["steps", "either"])
def test_one_that_is_cancelled_says_nothing_of_what_it_had(
    front: httpx2.Client, cloud: Cloud, model: str
) -> None:
    """Also while the first answer is held back, since it is still to be checked."""
    asked, told = threading.Event(), threading.Event()

    def slow(handler: Handler, sent: Sent) -> None:
        asked.set()
        told.wait(60)
        answers(handler, sent)

    cloud.script.answer = slow
    body = {"model": model, "input": f"{REFUSAL} {model}?", "background": True}
    name = front.post(RESPONSES, json=body).json()["id"]
    assert asked.wait(60)  # of the second, or of the first
    assert front.post(f"{RESPONSES}/{name}/cancel").json()["status"] == "cancelled"
    told.set()
    found = front.get(f"{RESPONSES}/{name}").json()
    assert (found["status"], found["output"]) == ("cancelled", [])


def test_where_nobody_answers_it_has_failed(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(400, {"error": {"message": "never"}})
    found = response(front, "both", f"{QUESTION} 6")
    assert found["status"] == "failed"
    assert "never" in found["error"]["message"]


def test_a_call_too_many_is_told_as_that(front: httpx2.Client, cloud: Cloud) -> None:
    """The first one asked fails, and with that the call of this hour is made."""
    cloud.script.answer = refusing("cloud")
    found = response(front, "few", f"{QUESTION} 8")
    assert found["status"] == "failed"
    assert "All calls that may be made elsewhere in an hour are made." in found["error"]["message"]
    assert {sent.body["model"] for sent in cloud.sent} == {"cloud"}


@pytest.mark.parametrize("model", ["either", "steps"])
def test_its_stream_is_numbered_without_a_gap_and_tells_one_answer(
    front: httpx2.Client, cloud: Cloud, model: str
) -> None:
    cloud.script.answer = refusing("cloud") if model == "either" else None
    asked = {"model": model, "input": f"{QUESTION} {model}", "background": True, "stream": True}
    with front.stream("POST", RESPONSES, json=asked) as answer:
        raw = answer.read()
    events = [json.loads(sse.data(one)) for one in sse.events(raw) if sse.data(one)]
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    kinds = [one["type"] for one in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds.count("response.completed") == 1 and kinds[-1] == "response.completed"
    assert len({one["response"]["id"] for one in events if "response" in one}) == 1
    said = "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")
    assert said == text_of(events[-1]["response"])
    name = events[0]["response"]["id"]
    again = front.get(f"{RESPONSES}/{name}", params={"stream": True}).content
    assert [sse.data(one) for one in sse.events(again) if sse.data(one)] == [
        sse.data(one) for one in sse.events(raw) if sse.data(one)
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses/input_tokens", {"input": QUESTION}),
        ("/tokenize", {"content": QUESTION}),
        ("/v1/embeddings", {"input": QUESTION}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": QUESTION}]}),
        ("/api/embed", {"input": QUESTION}),
        ("/api/embeddings", {"prompt": QUESTION}),
    ],
)
def test_what_is_not_routed_says_who_stands_in(
    front: httpx2.Client, cloud: Cloud, path: str, body: dict[str, Any]
) -> None:
    """Also where that one cannot do it: nobody follows."""
    answer = front.post(path, json={"model": "either", **body})
    assert answer.headers["x-noibo-route"] == "either; strategy=stand_in; model=echo"
    assert "only chats and completions are routed" in answer.headers["x-noibo-route-why"]
    assert "x-noibo-route" not in front.post(path, json={"model": "echo", **body}).headers
    assert cloud.sent == []
