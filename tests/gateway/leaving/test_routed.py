"""Virtual models: which of several answers, on every API, and what follows what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.modelstore.store import Store
from noibo.wire.access import KeyWanted
from tests.elsewhere_address import needs_network
from tests.engines.stocking import stock
from tests.gateway.leaving.cloud import Cloud, Handler, Sent
from tests.running import RunningServer
from tests.small_models import small_filler

pytestmark = needs_network
CHAT = "/v1/chat/completions"
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
EASY = "What is the capital of Vietnam?"
HARD = (
    "Compare three strategies for migrating a distributed ledger to post-quantum signatures, "
    "prove which of them keeps liveness under partition, and propose a schedule with its risks."
)

TABLES = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 0

[models.other]
engine = "remote"
base_url = "{url}"
model = "other-there"
retries = 0

[virtual.away]
candidates = ["cloud", "other", "echo"]
strategy = "api_only"

[virtual.home]
candidates = ["cloud", "echo"]
strategy = "local_only"

[virtual.steps]
candidates = ["fills", "cloud"]
strategy = "cascade"
api = {{ max_tokens = 77, temperature = 0.3 }}

[virtual.first]
candidates = ["cloud", "echo"]
strategy = "cheapest_that_meets"
quality = 0.0

[models.roomy]
engine = "remote"
base_url = "{url}"
model = "roomy-there"
ctx_size = 200000
abilities = ["json"]

[virtual.able]
candidates = ["fills", "roomy"]
strategy = "hybrid"

[models.slow]
engine = "remote"
base_url = "{url}"
model = "slow-there"
retries = 0
first_s = 0.5

[virtual.impatient]
candidates = ["slow", "other"]
strategy = "api_only"

[virtual.last]
candidates = ["cloud", "other"]
strategy = "api_only"
max_api_calls_per_hour = 1

[virtual.last_stream]
candidates = ["cloud", "other"]
strategy = "api_only"
max_api_calls_per_hour = 1

[virtual.few]
candidates = ["cloud", "echo"]
strategy = "hybrid"
simple_threshold = 1.0
complex_threshold = 1.0
max_api_calls_per_hour = 2
"""


@pytest.fixture(scope="session")
def routed_server(
    clouds: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("routed")
    stock(Store(folder / "models"), "fills", small_filler(folder / "fills.gguf"))
    home = folder / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(url=clouds.url))
    with RunningServer(
        home,
        NOIBO_STORE_PATH=str(folder / "models"),
        NOIBO_DEFAULT_MODEL="fills",
        NOIBO_QUEUE_SAY_AFTER_S="0.2",
    ) as server:
        yield server


@pytest.fixture
def front(routed_server: RunningServer, cloud: Cloud) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=routed_server.url, timeout=60) as client:
        yield client


def chat(model: str, text: str = EASY, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def route(answer: httpx2.Response) -> dict[str, str]:
    parts = answer.headers["x-noibo-route"].split("; ")
    return {"asked": parts[0], **dict(part.split("=", 1) for part in parts[1:])}


# ── who answers ─────────────────────────────────────────────────────────────


def test_they_are_listed_by_every_api(front: httpx2.Client) -> None:
    names = {one["id"] for one in front.get("/v1/models").json()["data"]}
    assert {"auto", "away", "home", "steps"} <= names
    tags = {one["name"] for one in front.get("/api/tags").json()["models"]}
    assert {"auto", "away", "home", "steps"} <= tags
    assert front.post("/api/show", json={"model": "away"}).status_code == 200


def test_one_of_this_machine_alone_asks_nobody_else(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("home", f"Key: {KEY}"))
    assert answer.status_code == 200
    assert answer.headers["x-noibo-model"] == "echo"
    assert answer.headers["x-noibo-receipt"].startswith("stayed on this machine")
    assert cloud.sent == []


def test_one_elsewhere_alone_asks_there(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("away"))
    assert answer.json()["choices"][0]["message"]["content"] == EASY
    assert route(answer)["model"] == "cloud"
    assert answer.headers["x-noibo-receipt"].startswith("left this machine")


def test_what_may_not_leave_is_answered_here_or_by_nobody(
    front: httpx2.Client, cloud: Cloud
) -> None:
    here = front.post(CHAT, json=chat("first", f"Key: {KEY}"))
    assert (here.status_code, here.headers["x-noibo-model"]) == (200, "echo")
    assert "may not leave" in here.headers["x-noibo-route-why"]
    nobody = front.post(CHAT, json=chat("away", f"Key: {KEY}"))
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (403, "no_candidate")
    assert cloud.sent == []


BODIES: dict[str, dict[str, Any]] = {
    CHAT: chat("away"),
    "/v1/completions": {"model": "away", "prompt": EASY},
    "/v1/messages": {**chat("away"), "max_tokens": 20},
    "/v1/responses": {"model": "away", "input": EASY, "store": False},
    "/api/chat": {**chat("away"), "stream": False},
    "/api/generate": {"model": "away", "prompt": EASY, "stream": False},
}


@pytest.mark.parametrize("path", BODIES)
def test_every_api_has_them(front: httpx2.Client, cloud: Cloud, path: str) -> None:
    answer = front.post(path, json=BODIES[path])
    assert answer.status_code == 200, answer.text
    assert EASY in answer.text
    assert route(answer)["model"] == "cloud"
    assert len(cloud.sent) == 1


@pytest.mark.parametrize("path", BODIES)
def test_every_api_streams_them(front: httpx2.Client, cloud: Cloud, path: str) -> None:
    with front.stream("POST", path, json=BODIES[path] | {"stream": True}) as answer:
        said = answer.read().decode()
    assert answer.status_code == 200, said
    assert answer.headers["x-noibo-route"].startswith("away; ")
    assert len(cloud.sent) == 1
    assert "capital"[:3] in said or "Wha" in said


def test_what_has_room_nowhere_else_goes_where_it_has(front: httpx2.Client, cloud: Cloud) -> None:
    long = "The report says that sales rose again. " * 8000 + EASY
    answer = front.post(CHAT, json=chat("able", long, max_tokens=5))
    assert route(answer)["model"] == "roomy", answer.text
    why = answer.headers["x-noibo-route-why"]
    assert "no model of this machine can answer it" in why
    assert "not fills: the request needs" in why


def test_what_needs_tools_goes_only_where_they_are(front: httpx2.Client, cloud: Cloud) -> None:
    function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    answer = front.post(CHAT, json=chat("able", HARD, tools=tools, max_tokens=5))
    assert "fills is asked" in answer.headers["x-noibo-route-why"]
    assert "not roomy: it has no tools" in answer.headers["x-noibo-route-why"]
    assert cloud.sent == []


def test_a_picture_goes_to_nobody_who_cannot_see(front: httpx2.Client, cloud: Cloud) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    seen = [{"role": "user", "content": [{"type": "text", "text": EASY}, picture]}]
    answer = front.post(CHAT, json={"model": "able", "messages": seen})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_candidate")
    assert "it has no vision" in answer.text
    assert cloud.sent == []


# ── what follows what ───────────────────────────────────────────────────────


def refusing(status: int, **headers: str) -> Any:
    """Refuses the first model, and answers the second."""
    from tests.gateway.leaving.cloud import answers

    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            answers(handler, sent)
        else:
            handler.say(status, {"error": {"message": "no", "type": "x"}}, **headers)

    return answer


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_next_is_asked_where_the_first_fails(
    front: httpx2.Client, cloud: Cloud, status: int, streamed: bool
) -> None:
    cloud.script.answer = refusing(status, Retry_After="30")
    with front.stream("POST", CHAT, json=chat("away", stream=streamed)) as answer:
        said = answer.read().decode()
    assert answer.status_code == 200, said
    assert answer.headers["x-noibo-model"] == "other"
    assert "tried=cloud:" in answer.headers["x-noibo-route"]
    assert [one.body["model"] for one in cloud.sent] == ["cloud", "other-there"]


@pytest.mark.parametrize("said", [{"error": {"message": "no credits", "code": 402}}, [[[]]], "oh"])
def test_a_whole_answer_that_is_none_is_asked_of_the_next(
    front: httpx2.Client, cloud: Cloud, said: Any
) -> None:
    from tests.gateway.leaving.cloud import answers

    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            answers(handler, sent)
        else:
            handler.say(200, said)

    cloud.script.answer = answer
    found = front.post(CHAT, json=chat("away"))
    assert found.headers["x-noibo-model"] == "other", found.text
    assert "tried=cloud:failed" in found.headers["x-noibo-route"]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_next_is_asked_where_the_first_says_nothing_in_time(
    front: httpx2.Client, cloud: Cloud, streamed: bool
) -> None:
    from tests.gateway.leaving.cloud import answers

    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "slow-there":
            time.sleep(1.5)
        else:
            answers(handler, sent)

    cloud.script.answer = answer
    with front.stream("POST", CHAT, json=chat("impatient", stream=streamed)) as found:
        said = found.read().decode()
    assert found.status_code == 200 and '"error"' not in said
    told = front.get(f"/noibo/v1/receipts/{found.headers['x-request-id']}").json()
    assert told["route"]["answered"] == "other"
    assert told["route"]["tried"] == [{"model": "slow", "outcome": "slow"}]


def test_where_all_fail_the_last_error_is_told(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(
        429, {"error": {"message": "slow down"}}, Retry_After="30"
    )
    answer = front.post(CHAT, json=chat("away"))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"
    assert answer.headers["x-noibo-route"].count("tried=") == 2


def test_a_stream_that_waits_is_told_for_whom(front: httpx2.Client, cloud: Cloud) -> None:
    def slowly(handler: Handler, sent: Sent) -> None:
        time.sleep(1.0)
        refusing(500)(handler, sent)

    cloud.script.answer = slowly
    with front.stream("POST", CHAT, json=chat("away", stream=True)) as answer:
        said = answer.read().decode()
    assert said.startswith(": waiting for cloud\n\n")
    assert answer.headers["x-noibo-route"].startswith("away; strategy=api_only")
    assert "model=" not in answer.headers["x-noibo-route"]
    assert answer.headers["x-noibo-receipt"].startswith(("left this machine", "not decided yet"))
    assert '"error"' not in said and said.rstrip().endswith("[DONE]")
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert told["route"]["answered"] == "other"
    assert len(told["sent"]) == 2


def test_where_all_fail_a_stream_that_waits_ends_with_the_error(
    front: httpx2.Client, cloud: Cloud
) -> None:
    def slowly(handler: Handler, sent: Sent) -> None:
        time.sleep(0.6)
        handler.say(503, {"error": {"message": "not now"}})

    cloud.script.answer = slowly
    with front.stream("POST", CHAT, json=chat("away", stream=True)) as answer:
        said = answer.read().decode()
    assert answer.status_code == 200
    assert said.startswith(": waiting for cloud\n\n")
    assert json.loads(said.rsplit("data: ", 1)[1])["error"]["message"].startswith("not now")


def test_a_stream_that_is_cut_after_a_word_is_nobody_elses(
    front: httpx2.Client, cloud: Cloud
) -> None:
    def cut(handler: Handler, sent: Sent) -> None:
        handler.begin()
        handler.event({"choices": [{"index": 0, "delta": {"content": "Half a"}}]})

    cloud.script.answer = cut
    with front.stream("POST", CHAT, json=chat("away", stream=True)) as answer:
        said = answer.read().decode()
    assert "Half a" in said and '"error"' in said
    assert len(cloud.sent) == 1


@pytest.mark.parametrize("path", BODIES)
def test_after_the_first_word_nobody_follows_on_any_api(
    front: httpx2.Client, cloud: Cloud, path: str
) -> None:
    def cut(handler: Handler, sent: Sent) -> None:
        handler.begin()
        word = {"text": "Half a"} if "prompt" in sent.body else {"delta": {"content": "Half a"}}
        handler.event({"choices": [{"index": 0, **word}]})

    cloud.script.answer = cut
    with front.stream("POST", path, json=BODIES[path] | {"stream": True}) as answer:
        said = answer.read().decode()
    assert "Half a" in said and "error" in said
    assert [one.body["model"] for one in cloud.sent] == ["cloud"]


def test_a_stream_that_is_cut_before_a_word_is_asked_of_the_next(
    front: httpx2.Client, cloud: Cloud
) -> None:
    from tests.gateway.leaving.cloud import answers

    def cut(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            return answers(handler, sent)
        handler.begin()
        handler.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        return None

    cloud.script.answer = cut
    with front.stream("POST", CHAT, json=chat("away", stream=True)) as answer:
        said = answer.read().decode()
    assert "Wha" in said and '"error"' not in said
    assert len(cloud.sent) == 2


@pytest.mark.parametrize("path", BODIES)
def test_a_stream_that_begins_with_an_error_is_asked_of_the_next(
    front: httpx2.Client, cloud: Cloud, path: str
) -> None:
    """As some providers do, with status 200."""
    from tests.gateway.leaving.cloud import answers

    def answer(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            return answers(handler, sent)
        handler.begin()
        handler.event({"error": {"message": "the provider is down", "code": 502}, "choices": []})
        return None

    cloud.script.answer = answer
    with front.stream("POST", path, json=BODIES[path] | {"stream": True}) as found:
        said = found.read().decode()
    assert "Wha" in said and "provider is down" not in said
    told = front.get(f"/noibo/v1/receipts/{found.headers['x-request-id']}").json()
    assert told["route"]["answered"] == "other"


def test_where_all_streams_begin_with_an_error_the_last_is_told(
    front: httpx2.Client, cloud: Cloud
) -> None:
    def answer(handler: Handler, sent: Sent) -> None:
        handler.begin()
        handler.event({"error": {"message": "the provider is down", "code": 502}, "choices": []})

    cloud.script.answer = answer
    with front.stream("POST", CHAT, json=chat("away", stream=True)) as found:
        said = found.read().decode()
    assert len(cloud.sent) == 2
    assert said.count("the provider is down") == 1


# ── checked answers ─────────────────────────────────────────────────────────


def test_a_local_answer_that_is_not_good_is_followed(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("steps", seed=1, temperature=0, max_tokens=8))
    assert answer.status_code == 200
    tried = route(answer).get("tried", "")
    if tried:  # the small model writes nonsense, which the judge mostly sees
        assert tried == "fills:latest:unfit" or "unfit" in tried
        assert cloud.sent[-1].body["max_tokens"] == 8
    assert "logprobs" not in answer.json()["choices"][0]


def test_it_is_given_where_nobody_else_answers(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(500, {"error": {"message": "no"}})
    answer = front.post(CHAT, json=chat("steps", max_tokens=8))
    assert answer.status_code == 200
    assert answer.headers["x-noibo-model"].startswith("fills")


def test_each_side_is_asked_with_its_own(front: httpx2.Client, cloud: Cloud) -> None:
    label = {"X-Noibo-Label": "public"}
    for _ in range(3):
        front.post(CHAT, json=chat("steps", "Xin chào bạn"), headers=label)
    for sent in cloud.sent:
        assert (sent.body["max_tokens"], sent.body["temperature"]) == (77, 0.3)


def test_the_next_is_told_no_more_than_the_first(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.answer = refusing(500)
    answer = front.post(CHAT, json=chat("away", "Viết cho lan.nguyen@congty-abc.vn nhé."))
    assert "lan.nguyen@congty-abc.vn" in answer.text
    one, two = (sent.body["messages"] for sent in cloud.sent)
    assert one == two and "<EMAIL_1>" in one[-1]["content"]
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert [one["redacted"] for one in told["sent"]] == [{"EMAIL": 1}, {"EMAIL": 1}]


# ── keys ────────────────────────────────────────────────────────────────────


def key_for(server: RunningServer, *models: str) -> dict[str, str]:
    with server.client() as client:
        made = client.make_key(KeyWanted(name=f"for {models}", role="user", models=list(models)))
    return {"Authorization": f"Bearer {made.key}"}


def test_a_key_for_a_virtual_model_asks_its_candidates_by_that_alone(
    front: httpx2.Client, cloud: Cloud, routed_server: RunningServer
) -> None:
    key = key_for(routed_server, "away")
    assert front.post(CHAT, json=chat("away"), headers=key).headers["x-noibo-model"] == "cloud"
    for other in ("cloud", "home", "echo"):
        assert front.post(CHAT, json=chat(other), headers=key).status_code in {403, 404}
    names = {one["id"] for one in front.get("/v1/models", headers=key).json()["data"]}
    assert names == {"away"}


def test_a_key_for_one_candidate_is_answered_by_that_alone(
    front: httpx2.Client, cloud: Cloud, routed_server: RunningServer
) -> None:
    key = key_for(routed_server, "echo")
    answer = front.post(CHAT, json=chat("first"), headers=key)
    assert answer.headers["x-noibo-model"] == "echo"
    assert "the key that asks may not use it" in answer.headers["x-noibo-route-why"]
    assert front.post(CHAT, json=chat("away"), headers=key).status_code == 403
    assert cloud.sent == []


# ── limits and conversations ────────────────────────────────────────────────


def test_over_the_calls_of_an_hour_it_is_answered_here(front: httpx2.Client, cloud: Cloud) -> None:
    models = [front.post(CHAT, json=chat("few", HARD)).headers["x-noibo-model"] for _ in range(4)]
    assert models == ["cloud", "cloud", "echo", "echo"]


@pytest.mark.parametrize("streamed", [False, True])
def test_whom_the_last_call_of_an_hour_did_not_help_is_told(
    front: httpx2.Client, cloud: Cloud, streamed: bool
) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(500, {"error": {"message": "no"}})
    model = "last_stream" if streamed else "last"
    answer = front.post(CHAT, json=chat(model, stream=streamed))
    assert answer.status_code == 429, answer.text
    assert answer.json()["error"]["code"] == "api_calls_exceeded"
    assert int(answer.headers["retry-after"]) > 3000
    assert len(cloud.sent) == 1


def test_what_was_decided_stands_in_the_receipt(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("away"))
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert told["route"]["answered"] == "cloud"
    assert told["route"]["strategy"] == "api_only"
    assert EASY not in json.dumps(told)
