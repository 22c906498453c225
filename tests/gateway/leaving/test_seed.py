"""The seed's command: LLM_STRATEGY=hybrid LOCAL_LLM_URL=… OPENROUTER_API_KEY=… noibo serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Script
from tests.gateway.leaving.test_routed import CHAT, EASY, HARD, KEY, chat, route
from tests.running import RunningServer

pytestmark = needs_network
PHONE = "0912 345 678"


@pytest.fixture(scope="module")
def house() -> Iterator[Cloud]:
    """The house's own server of models: vLLM, say."""
    with Cloud() as server:
        yield server


@pytest.fixture(scope="module")
def seed(
    house: Cloud, clouds: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("seed") / "home"
    with RunningServer(
        home,
        LLM_STRATEGY="hybrid",
        LOCAL_LLM_URL=house.url,
        OPENROUTER_API_KEY="sk-or-test",
        NOIBO_ROUTING_API_ENDPOINT=clouds.url,
    ) as server:
        yield server


@pytest.fixture
def front(seed: RunningServer, cloud: Cloud, house: Cloud) -> Iterator[httpx2.Client]:
    house.script = Script(text=lambda body: "The capital of Vietnam is Hanoi.")
    house.sent.clear()
    with httpx2.Client(base_url=seed.url, timeout=60) as client:
        yield client


def asked(server: Cloud) -> list[Any]:
    return [one.body for one in server.sent if one.body is not None]


def test_what_is_simple_is_answered_by_the_first_model_of_the_house(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    answer = front.post(CHAT, json=chat("auto", EASY))
    assert answer.json()["choices"][0]["message"]["content"].endswith("Hanoi.")
    assert route(answer)["class"] == "simple"
    assert [one["model"] for one in asked(house)] == ["first-there"]
    assert asked(cloud) == []


def test_what_is_complex_goes_to_the_api(front: httpx2.Client, cloud: Cloud, house: Cloud) -> None:
    answer = front.post(CHAT, json=chat("auto", HARD))
    assert answer.status_code == 200
    assert (route(answer)["class"], route(answer)["model"]) == ("complex", "openai/gpt-4o-mini")
    assert [one["model"] for one in asked(cloud)] == ["openai/gpt-4o-mini"]
    assert cloud.sent[0].headers["Authorization"] == "Bearer sk-or-test"
    assert asked(cloud)[0]["provider"] == {"data_collection": "deny"}  # by its key
    assert asked(house) == []


def test_what_may_not_leave_is_answered_by_the_house(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    answer = front.post(CHAT, json=chat("auto", f"{HARD} The key is {KEY}."))
    assert answer.status_code == 200
    assert asked(cloud) == [] and len(asked(house)) == 1


def test_what_is_personal_leaves_redacted(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("auto", f"{HARD} Gọi {PHONE}."))
    assert PHONE in answer.json()["choices"][0]["message"]["content"]
    assert PHONE not in cloud.everything()


def test_where_the_api_fails_the_house_answers(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(500, {"error": {"message": "no"}})
    answer = front.post(CHAT, json=chat("auto", HARD))
    assert answer.json()["choices"][0]["message"]["content"].endswith("Hanoi.")
    assert "tried=openai/gpt-4o-mini:failed" in answer.headers["x-noibo-route"]


def test_a_conversation_stays_with_its_model(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    first = chat("auto", HARD)
    said = front.post(CHAT, json=first).json()["choices"][0]["message"]["content"]
    turns = [*first["messages"], {"role": "assistant", "content": said}]
    turns.append({"role": "user", "content": "And how would you explain that to a colleague?"})
    answer = front.post(CHAT, json={"model": "auto", "messages": turns})
    assert route(answer)["model"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_what_is_not_routed_is_asked_of_the_house(
    front: httpx2.Client, cloud: Cloud, path: str
) -> None:
    """Also where that is a server of its own, and cannot do it."""
    body = {"model": "auto", "input": EASY, "query": EASY, "documents": [EASY]}
    answer = front.post(path, json=body)
    assert answer.headers["x-noibo-route"] == "auto; strategy=stand_in; model=local"
    assert asked(cloud) == []


def test_so_does_one_that_stands_on_the_server(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    """Of it only the last turn is sent, which is easy."""
    asked_first = {"model": "auto", "input": HARD}
    last = front.post("/v1/responses", json=asked_first).json()["id"]
    thanks = {"model": "auto", "input": "Thanks!", "previous_response_id": last}
    answers = [front.post("/v1/responses", json=thanks)]
    thanks["previous_response_id"] = answers[0].json()["id"]
    answers.append(front.post("/v1/responses", json=thanks))
    assert [route(one)["class"] for one in answers] == ["simple", "simple"]
    assert [route(one)["model"] for one in answers] == ["openai/gpt-4o-mini", "local"]
    assert "goes on with openai/gpt-4o-mini" in answers[0].headers["x-noibo-route-why"]


def test_what_stands_on_the_server_may_not_leave_either(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    kept = front.post("/v1/responses", json={"model": "auto", "input": f"Note it: {KEY}"}).json()
    more = {"model": "auto", "input": HARD, "previous_response_id": kept["id"]}
    answer = front.post("/v1/responses", json=more)
    assert answer.status_code == 200
    assert "may not leave this machine (label secret)" in answer.headers["x-noibo-route-why"]
    assert "tried=" not in answer.headers["x-noibo-route"]
    assert asked(cloud) == []


def test_what_a_label_was_said_of_may_not_leave_later(
    front: httpx2.Client, cloud: Cloud, house: Cloud
) -> None:
    first = {"model": "auto", "input": "A quiet word."}
    label = {"X-Noibo-Label": "secret"}
    kept = front.post("/v1/responses", json=first, headers=label).json()
    more = {"model": "auto", "input": HARD, "previous_response_id": kept["id"]}
    answer = front.post("/v1/responses", json=more)
    assert "may not leave this machine (label secret)" in answer.headers["x-noibo-route-why"]
    assert asked(cloud) == []
