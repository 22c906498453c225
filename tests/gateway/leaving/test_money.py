"""What answers from elsewhere cost: reserved before, settled after, and never passed over."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.assembly import open_database
from noibo.egress_ledger import departures
from noibo.ledger.check import check
from noibo.settings import load
from noibo.usage.entry import UsageEntry
from noibo.usage.records import entries
from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent
from tests.running import RunningServer, run_noibo, until

pytestmark = [needs_network, pytest.mark.heavy]  # a server for each: budgets are a server's
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]

# 1,000 tokens written cost 0.1 dollars, so an answer of at most 1,000 has room ten times in a day.
TABLES = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 0

[models.unpriced]
engine = "remote"
base_url = "{url}"
retries = 0

[models.telling]
engine = "remote"
base_url = "{url}"
tells_cost = true
retries = 0

[models.strict]
engine = "remote"
base_url = "{url}"
retries = 0

[models.vectors]
engine = "remote"
base_url = "{url}"
retries = 0

[virtual.both]
candidates = ["cloud", "echo"]
strategy = "hybrid"
simple_threshold = 1.0
complex_threshold = 1.0

[virtual.strictly]
candidates = ["strict", "echo"]
strategy = "hybrid"
simple_threshold = 1.0
complex_threshold = 1.0

[prices.cloud]
input = 0.0
output = 100.0

[prices.strict]
input = 0.0
output = 100.0

[prices.vectors]
input = 0.02

[budgets."model:vectors"]
day = 1.0

[budgets."model:cloud"]
day = 1.0

[budgets."model:unpriced"]
day = 1.0

[budgets."model:strict"]
day = 0.01
over = "refuse"
"""


@pytest.fixture
def server(clouds: Cloud, tmp_path: Path) -> Iterator[RunningServer]:
    home = tmp_path / "money" / "home"
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text(TABLES.format(url=clouds.url))
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo") as running:
        yield running


def rows(server: RunningServer) -> list[UsageEntry]:
    """What is in the ledger, as another process reads it."""
    settings = load(environ={"NOIBO_HOME": str(server.home)})

    async def read() -> list[UsageEntry]:
        database = open_database(settings)
        try:
            return await database.read(lambda connection: entries(connection, []))
        finally:
            await database.close()

    return asyncio.run(read())


def ask(front: httpx2.Client, model: str = "cloud", **more: Any) -> httpx2.Response:
    return front.post(CHAT, json={"model": model, "messages": HELLO, "max_tokens": 1000, **more})


def test_what_the_provider_counted_is_charged(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    cloud.script.usage = {"prompt_tokens": 5, "completion_tokens": 200}
    answer = ask(front)
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.request, row.model, row.outcome) == (answer.headers["x-request-id"], "cloud", "ok")
    assert (row.tokens.input, row.tokens.output) == (5, 200)
    assert (row.cost, row.cost_by) == (20_000_000, "prices")
    assert row.destination == f"http://{cloud.host}"


def test_a_cost_is_believed_of_who_is_known_to_tell_it(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    cloud.script.usage = {"prompt_tokens": 5, "completion_tokens": 200, "cost": 0.000001}
    ask(front)
    ask(front, "telling")
    found = {one.model: (one.cost, one.cost_by) for one in rows(server) if not one.local}
    assert found == {"cloud": (20_000_000, "prices"), "telling": (1_000, "provider")}


def test_what_is_over_its_budget_is_ruled_out_in_the_plan(
    front: httpx2.Client, cloud: Cloud
) -> None:
    cloud.script.usage = {"prompt_tokens": 1, "completion_tokens": 10_000}
    ask(front, max_tokens=9_999)
    sent = len(cloud.sent)
    answer = ask(front, "both", max_tokens=5)
    assert (answer.status_code, answer.headers["x-noibo-model"]) == (200, "echo")
    assert (
        "not cloud: there is no money left for it: until 20" in answer.headers["x-noibo-route-why"]
    )
    assert "tried" not in answer.headers["x-noibo-route"]
    assert len(cloud.sent) == sent


def killed_with(server: RunningServer, front: httpx2.Client, body: dict[str, Any]) -> None:
    """The server is killed when some of the answer has come."""
    with pytest.raises(httpx2.HTTPError), front.stream("POST", CHAT, json=body) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for _ in chunks:
            pass


def test_a_server_that_is_killed_in_a_paid_answer_leaks_nothing(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    def slowly(handler: Handler, sent: Sent) -> None:
        handler.begin()
        for _ in range(200):
            handler.event({"choices": [{"index": 0, "delta": {"content": "word "}}]})
            time.sleep(0.05)

    cloud.script.answer = slowly
    killed_with(server, front, {"model": "cloud", "messages": HELLO, "stream": True})
    (departed,) = departures(server.home / "egress.jsonl")
    assert (departed.destination, departed.outcome) == (f"http://{cloud.host}", "")
    assert departed.sent is None
    assert check(server.home / "egress.jsonl").sound
    cloud.script.answer = None
    with RunningServer(server.home, NOIBO_DEFAULT_MODEL="echo") as again:
        told = httpx2.get(f"{again.url}/noibo/v1/receipts/{departed.request}").json()
        assert [one["outcome"] for one in told["sent"]] == ["open"]
        # What the dead had reserved is charged when its word is over, and free for nobody else.
        with httpx2.Client(base_url=again.url, timeout=60) as client:
            ask(client, max_tokens=10)
            until(lambda: "lost" in {one.outcome for one in rows(again)}, "it is charged", 50)
            lost, after = sorted((o for o in rows(again) if not o.local), key=lambda o: o.at)
            assert (lost.outcome, lost.cost, lost.cost_by) == ("lost", 819_200_000, "bound")
            assert after.outcome == "ok"
            standing = run_noibo("usage", "budgets", "--model", "cloud", "--json", home=again.home)
        (limit,) = [one for one in json.loads(standing.stdout) if "cloud" in one["whose"]]
    assert limit["reserved"] == 0
    assert limit["spent"] == pytest.approx(((lost.cost or 0) + (after.cost or 0)) / 1e9)


def test_a_stream_is_counted_though_nobody_asked_for_it(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    with front.stream(
        "POST", CHAT, json={"model": "cloud", "messages": HELLO, "stream": True, "max_tokens": 9}
    ) as answer:
        said = answer.read().decode()
    assert '"usage"' not in said and said.rstrip().endswith("[DONE]")
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.tokens.output, row.outcome) == (7, "ok")


def test_many_at_once_do_not_pass_over_a_budget(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    cloud.script.usage = {"prompt_tokens": 1, "completion_tokens": 1000}
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: ask(front).status_code, range(40)))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == len(cloud.sent) == 10
    paid = [one.cost or 0 for one in rows(server) if not one.local and one.outcome == "ok"]
    assert sum(paid) == 10**9


def test_over_the_budget_it_is_said_until_when(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.usage = {"prompt_tokens": 1, "completion_tokens": 10_000}
    ask(front, max_tokens=9_999)
    answer = ask(front)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_exceeded")
    assert 0 < int(answer.headers["retry-after"]) <= 90_000
    assert len(cloud.sent) == 1


def test_over_the_budget_a_virtual_model_answers_here(front: httpx2.Client, cloud: Cloud) -> None:
    cloud.script.usage = {"prompt_tokens": 1, "completion_tokens": 10_000}
    models = [ask(front, "both", max_tokens=9_000).headers["x-noibo-model"] for _ in range(2)]
    assert models == ["cloud", "echo"]


def test_a_budget_that_refuses_is_not_got_round(front: httpx2.Client, cloud: Cloud) -> None:
    assert ask(front, "strictly").status_code == 429
    assert cloud.sent == []


def test_without_a_price_a_budget_of_money_cannot_be_kept(
    front: httpx2.Client, cloud: Cloud
) -> None:
    answer = ask(front, "unpriced")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "price_unknown")
    assert cloud.sent == []


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": -7},
        {"prompt_tokens": 10**15, "completion_tokens": 10**15},
        {"prompt_tokens": "many", "completion_tokens": None},
        {"prompt_tokens": 1.5},
        {},
        None,
        "none",
    ],
    ids=str,
)
def test_a_count_that_is_none_is_charged_at_the_most(
    front: httpx2.Client, cloud: Cloud, server: RunningServer, usage: Any
) -> None:
    cloud.script.usage = usage
    assert ask(front, max_tokens=100).status_code == 200
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.cost, row.cost_by) == (10_000_000, "bound")


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 9, "completion_tokens": 0},
        {"prompt_tokens": 9, "completion_tokens": 10**9},
    ],
    ids=str,
)
def test_a_count_that_cannot_be_is_charged_at_the_most(
    front: httpx2.Client, cloud: Cloud, server: RunningServer, usage: Any
) -> None:
    cloud.script.usage = usage
    assert ask(front, max_tokens=100).status_code == 200
    body = {"model": "cloud", "messages": HELLO, "max_tokens": 100, "stream": True}
    assert "[DONE]" in front.post(CHAT, json=body).text
    paid = [one for one in rows(server) if not one.local]
    assert [(one.cost, one.cost_by) for one in paid] == [(10_000_000, "bound")] * 2


def test_a_count_on_the_way_is_not_that_of_a_stream_that_broke(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    def breaks(handler: Handler, sent: Sent) -> None:
        handler.begin()
        for so_far in range(3):
            delta = {"index": 0, "delta": {"content": "word "}}
            usage = {"prompt_tokens": 5, "completion_tokens": so_far + 1}
            handler.event({"choices": [delta], "usage": usage})

    cloud.script.answer = breaks
    body = {"model": "cloud", "messages": HELLO, "max_tokens": 100, "stream": True}
    assert "[DONE]" not in front.post(CHAT, json=body).text
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.outcome, row.tokens.output) == ("cut", 3)
    assert (row.cost, row.cost_by) == (10_000_000, "bound")


def test_however_a_limit_is_written_it_is_reserved_for(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    cloud.script.usage = None
    wide = (
        {"max_tokens": 20, "max_completion_tokens": 400},
        {"max_tokens": "400"},
        {"max_tokens": 100, "n": 4.0},
        {"max_tokens": -1, "num_predict": 1},
    )
    for more in wide:
        answer = front.post(CHAT, json={"model": "cloud", "messages": HELLO, **more})
        assert answer.status_code == 200
    assert cloud.sent[-1].body["max_tokens"] == 8192  # an answer without an end is given one
    assert front.post(CHAT, json={"model": "cloud", "messages": HELLO}).status_code == 429
    several = {"model": "cloud", "prompt": ["a", "b"] * 30, "max_tokens": 20}
    assert front.post("/v1/completions", json=several).status_code == 429
    paid = [one.cost for one in rows(server) if not one.local]
    assert paid == [40_000_000, 40_000_000, 40_000_000, 819_200_000]


def test_an_embedding_is_charged_by_its_prompt(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    body = {"model": "vectors", "input": "Hello"}
    assert front.post("/v1/embeddings", json=body).status_code == 200
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.tokens.input, row.tokens.output) == (3, 0)
    assert (row.cost, row.cost_by) == (60, "prices")


def test_what_failed_before_a_byte_costs_nothing(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    cloud.script.answer = lambda handler, sent: handler.say(429, {"error": {"message": "no"}})
    for _ in range(12):
        assert ask(front).status_code == 429
    cloud.script.answer = None
    assert ask(front).status_code == 200
    failed = [one for one in rows(server) if one.outcome == "failed"]
    assert len(failed) == 12 and {one.cost for one in failed} == {0}


def test_a_caller_that_leaves_is_charged_and_leaves_no_room_taken(
    front: httpx2.Client, cloud: Cloud, server: RunningServer
) -> None:
    def slowly(handler: Handler, sent: Sent) -> None:
        handler.begin()
        for _ in range(200):
            handler.event({"choices": [{"index": 0, "delta": {"content": "word "}}]})
            time.sleep(0.05)

    cloud.script.answer = slowly
    body = {"model": "cloud", "messages": HELLO, "stream": True, "max_tokens": 1000}
    with front.stream("POST", CHAT, json=body) as answer:
        next(answer.iter_bytes())
    until(lambda: any(not one.local for one in rows(server)), "it is settled", 20)
    (row,) = [one for one in rows(server) if not one.local]
    assert (row.outcome, row.cost) == ("cancelled", 100_000_000)


def test_a_local_answer_is_a_row_too(front: httpx2.Client, server: RunningServer) -> None:
    answer = ask(front, "echo", max_tokens=5)
    found: list[UsageEntry] = []

    def is_there() -> bool:
        found[:] = [one for one in rows(server) if one.local]
        return bool(found)

    until(is_there, "it is in the database", 20)
    (row,) = found
    assert (row.request, row.model) == (answer.headers["x-request-id"], "echo")
    assert (row.local, row.outcome, row.cost) == (True, "ok", None)
    assert (row.tokens.output or 0) > 0
