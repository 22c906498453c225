from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from noibo.gateway.watching.counts import Spread
from noibo.gateway.watching.exposition import COUNTERS, HISTOGRAMS
from noibo.gateway.watching.metrics import LEAST_PACE, MOST_MODELS, MOST_SERIES, Metrics
from noibo.gateway.watching.places import Places
from noibo.gateway.watching.routes import DASHBOARD
from noibo.gateway.watching.standing import GAUGES
from noibo.wire.management import GUARD_HEADER
from tests.running import RunningServer, until

MODEL = "smollm2:135m"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
ONE_SLOT = {"NOIBO_ENGINE_PARALLEL": "1", "NOIBO_QUEUE_SAY_AFTER_S": "0.1"}
numbers = count()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Of a server with no model but echo."""
    with (
        RunningServer(tmp_path_factory.mktemp("metrics") / "home") as server,
        httpx2.Client(base_url=server.url, timeout=60) as made,
    ):
        yield made


def scraped(client: httpx2.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: Samples = {}
    for family in families(answer.text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of what has these labels."""
    wanted = labels.items()
    return sum(
        found for (one, has), found in samples.items() if one == name and set(wanted) <= set(has)
    )


class Since:
    """What was counted since this was made."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._before = scraped(client)

    def ended(self, requests: int, **labels: str) -> None:
        """Wait until so many requests were counted: that is done when their answers are out."""
        until(
            lambda: self.grew("noibo_requests_total", **labels) >= requests,
            f"{requests} requests are counted",
        )

    def grew(self, name: str, **labels: str) -> float:
        now = scraped(self._client)
        return value(now, name, **labels) - value(self._before, name, **labels)


def chat(model: str = "echo", **more: Any) -> dict[str, Any]:
    content = f"Say {next(numbers)} words"
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


# ── what is counted ─────────────────────────────────────────────────────────


def test_tokens_are_those_that_the_answers_say(real_server: RunningServer) -> None:
    with httpx2.Client(base_url=real_server.url, timeout=120) as client:
        since = Since(client)
        bodies = [
            chat(MODEL, max_tokens=5, seed=1, ignore_eos=True),
            chat(MODEL, max_tokens=7, ignore_eos=True),
        ]
        bodies.append(bodies[0])  # its prompt is known by then
        used = [client.post("/v1/chat/completions", json=body).json()["usage"] for body in bodies]
        asked = chat(
            MODEL,
            max_tokens=3,
            ignore_eos=True,
            stream=True,
            stream_options={"include_usage": True},
        )
        lines = client.post("/v1/chat/completions", json=asked).text.splitlines()
        used += [u for x in lines if x.startswith("data: {") and (u := json.loads(x[6:])["usage"])]
        assert len(used) == 4
        since.ended(4, model=MODEL)
        agree(since.grew, used)


def agree(grew: Callable[..., float], used: list[dict[str, Any]]) -> None:
    """Hold what was counted of four answers against what they say of themselves."""
    assert grew("noibo_prompt_tokens_total", model=MODEL) == sum(u["prompt_tokens"] for u in used)
    written = sum(u["completion_tokens"] for u in used)
    assert grew("noibo_generated_tokens_total", model=MODEL) == written == 20
    cached = sum(u["prompt_tokens_details"]["cached_tokens"] for u in used)
    assert grew("noibo_prompt_tokens_cached_total", model=MODEL) == cached > 0
    assert grew("noibo_request_generated_tokens_sum", model=MODEL) == written
    for name in ("noibo_time_to_first_token", "noibo_time_per_output_token", "noibo_queue_wait"):
        assert grew(f"{name}_seconds_count", model=MODEL) == 4, name
        assert grew(f"{name}_seconds_bucket", model=MODEL, le="+Inf") == 4, name
    route = {"route": "/v1/chat/completions", "api": "openai"}
    assert grew("noibo_requests_total", status="200", method="POST", model=MODEL, **route) == 4
    assert grew("noibo_request_duration_seconds_count", **route) == 4
    first, each = (
        grew(f"noibo_time_{name}_seconds_sum", model=MODEL)
        for name in ("to_first_token", "per_output_token")
    )
    assert 0 < first < grew("noibo_request_duration_seconds_sum", **route)
    assert 0 < each < first + grew("noibo_request_duration_seconds_sum", **route)


def test_every_api_counts_tokens(client: httpx2.Client) -> None:
    since = Since(client)
    client.post("/v1/messages", json=chat(max_tokens=9))
    client.post("/api/chat", json=chat(stream=False))
    client.post("/v1/responses", json={"model": "echo", "input": "one two three"})
    client.post("/v1/completions", json={"model": "echo", "prompt": ["one two", "three"], "n": 2})
    since.ended(4, model="echo")
    for api, route in {"anthropic": "/v1/messages", "ollama": "/api/chat"}.items():
        assert since.grew("noibo_requests_total", api=api, route=route, model="echo") == 1
    assert since.grew("noibo_generated_tokens_total") == 3 + 3 + 3 + 2 * 3
    assert since.grew("noibo_request_generated_tokens_count") == 3 + 4  # two of two prompts


def test_who_leaves_is_counted_as_499_with_the_tokens_so_far(client: httpx2.Client) -> None:
    since = Since(client)
    body = chat(stream=True, x_echo={"text": "word " * 500, "delay_ms": 10})
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    until(
        lambda: since.grew("noibo_requests_total", status="499", model="echo") == 1,
        "it is seen that nobody listens",
    )
    assert 0 < since.grew("noibo_generated_tokens_total") < 500
    assert value(scraped(client), "noibo_requests_in_progress") == 1  # this one


def test_what_is_refused_is_counted_by_its_code(client: httpx2.Client) -> None:
    since = Since(client)
    client.post("/v1/chat/completions", json=chat("nothing-of-that-name"))
    client.post("/v1/messages", json={"model": "echo"})
    client.get("/v1/responses/resp_1", headers={"X-Forwarded-For": "203.0.113.7"})
    client.get("/v1/models", headers={"Host": "evil.example"})
    for status in ("400", "401", "403", "404"):
        since.ended(1, status=status)
    said = {
        "model_not_found": "404",
        "invalid_request": "400",
        "invalid_api_key": "401",
        "forbidden": "403",
    }
    for code, status in said.items():
        assert since.grew("noibo_errors_total", code=code, status=status) == 1, code
    assert since.grew("noibo_errors_total") == 4
    refused = {"route": "/v1/responses/{name}", "status": "401", "model": ""}
    assert since.grew("noibo_requests_total", **refused) == 1


def test_a_full_queue_is_seen(home: Path) -> None:
    home.mkdir(parents=True)
    with (
        RunningServer(home, NOIBO_QUEUE_LONGEST="2", **ONE_SLOT) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
        httpx2.Client(base_url=server.url, timeout=60) as other,
    ):
        client.post("/v1/chat/completions", json=chat())
        slow = chat(stream=True, x_echo={"text": "word " * 999, "delay_ms": 20})
        with (
            client.stream("POST", "/v1/chat/completions", json=slow) as answering,
            client.stream("POST", "/v1/chat/completions", json=slow) as waiting,
        ):
            lines = answering.iter_lines(), waiting.iter_lines()
            next(lines[0])
            next(lines[1])  # is told that it waits
            since = Since(other)
            assert other.post("/v1/chat/completions", json=chat()).status_code == 429
            since.ended(1, status="429")
            samples = scraped(other)
        assert value(samples, "noibo_requests_waiting", why="queue") == 1
        assert value(samples, "noibo_requests_answering") == 1
        assert value(samples, "noibo_queue_limit") == 2
        assert value(samples, "noibo_queue_oldest_wait_seconds") > 0
        assert value(samples, "noibo_errors_total", code="queue_full", status="429") == 1
        assert value(samples, "noibo_worker_slots_busy", model="echo", verb="generate") == 1


def test_workers_are_seen_with_their_memory_and_their_end(
    client: httpx2.Client,
) -> None:
    unload(client)
    since = Since(client)
    client.post("/v1/chat/completions", json=chat())
    row = client.get("/noibo/v1/workers").json()[0]
    samples = scraped(client)
    assert value(samples, "noibo_workers", state="ready") == 1
    assert value(samples, "noibo_worker_slots", model="echo") == row["slots"]
    assert value(samples, "noibo_worker_memory_bytes", model="echo") > 2**20
    assert value(samples, "noibo_memory_budget_bytes") > 2**28
    psutil.Process(row["pid"]).kill()
    until(lambda: since.grew("noibo_worker_events_total", event="died") == 1, "it is counted")
    client.post("/v1/chat/completions", json=chat())
    unload(client)
    for event, times in {"started": 2, "died": 1, "unloaded": 1}.items():
        assert since.grew("noibo_worker_events_total", model="echo", event=event) == times
    found = scraped(client)
    assert value(found, "noibo_workers") == 0
    assert not any(name == "noibo_worker_memory_bytes" for name, _ in found)


def unload(client: httpx2.Client) -> None:
    """No worker is left of echo."""
    client.post("/noibo/v1/workers/echo/stop", headers={GUARD_HEADER: "1"})


def test_the_process_is_seen(client: httpx2.Client) -> None:
    samples = scraped(client)
    assert value(samples, "process_resident_memory_bytes") > 2**24
    assert 0 < value(samples, "process_open_fds") < value(samples, "process_max_fds")


# ── what it costs, and whom it is for ───────────────────────────────────────


def test_a_scrape_loads_nothing_and_keeps_nothing_awake(client: httpx2.Client) -> None:
    unload(client)
    for _ in range(3):
        scraped(client)
    assert client.get("/noibo/v1/workers").json() == []
    client.post("/v1/chat/completions", json=chat())
    before = client.get("/noibo/v1/workers").json()[0]["used_at"]
    scraped(client)
    assert client.get("/noibo/v1/workers").json()[0]["used_at"] == before


def test_a_scraper_elsewhere_needs_a_key_that_may(client: httpx2.Client) -> None:
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}
    assert client.get("/metrics", headers=elsewhere).status_code == 401
    for role, status in {"developer": 200, "user": 403}.items():
        made = client.post(
            "/noibo/v1/keys", json={"name": role, "role": role}, headers={GUARD_HEADER: "1"}
        ).json()
        sent = {**elsewhere, "Authorization": f"Bearer {made['key']}"}
        assert client.get("/metrics", headers=sent).status_code == status


def test_both_formats_can_be_read(client: httpx2.Client) -> None:
    client.post("/v1/chat/completions", json=chat())
    answer = client.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = {family.name for family in open_families(answer.text)}
    assert {"noibo_requests", "noibo_worker_events", "noibo_build_info"} <= found


@pytest.mark.heavy
def test_promtool_finds_nothing_wrong(client: httpx2.Client) -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    client.post("/v1/chat/completions", json=chat())
    text = client.get("/metrics").text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ── bounds ──────────────────────────────────────────────────────────────────


def send_names(client: httpx2.Client, what: str) -> None:
    """A model, a method and a path that nobody has sent before."""
    client.post("/v1/chat/completions", json=chat(what))
    client.request(f"X{what}", f"/{what}?{what}={what}", headers={"X-Request-Id": what, what: what})


def send_more(client: httpx2.Client, what: str) -> None:
    """And ids, other methods, other APIs."""
    send_names(client, what)
    client.get(f"/v1/responses/{what}")
    client.get(f"/{what}")
    client.request(f"X{what}", "/v1/models")
    client.post("/api/show", json={"model": what})
    client.post("/v1/messages", json=chat(what, max_tokens=1))


@pytest.mark.parametrize(
    ("send", "times"),
    [
        (send_more, 100),
        pytest.param(send_names, 10_000, marks=[pytest.mark.heavy, pytest.mark.timeout(1200)]),
    ],
)
def test_nothing_that_is_sent_adds_a_series(
    client: httpx2.Client, send: Callable[[httpx2.Client, str], None], times: int
) -> None:
    since = Since(client)
    send(client, "first")
    since.ended(3)
    before = set(scraped(client)) | set(scraped(client))
    for number in range(times):
        send(client, f"a{number}")
    assert set(scraped(client)) - before == set()


def test_more_models_than_the_bound_are_one() -> None:
    metrics = Metrics()
    for number in range(3 * MOST_MODELS):
        metrics.of(f"m{number}").read(2, 1)
    assert len(metrics.models()) == MOST_MODELS + 1
    assert metrics.of("m0").label == "m0"
    assert metrics.of("another").label == "other"
    assert metrics.of("other").prompt == 2 * (2 * MOST_MODELS)
    assert sum(one.prompt for one in metrics.models()) == 2 * 3 * MOST_MODELS


def test_a_pace_is_said_of_what_was_measured() -> None:
    metrics = Metrics()
    numbers = metrics.of("small")
    for _ in range(LEAST_PACE):
        assert metrics.pace("small") is None
        numbers.first_token.see(0.5)
        numbers.each_token.see(0.1)
    assert metrics.pace("small") == pytest.approx((0.5, 0.1))
    assert metrics.pace("other") is None


def test_requests_have_a_bound_and_none_is_lost() -> None:
    metrics = Metrics()
    for number in range(2 * MOST_SERIES):
        metrics.ended("/v1/x", "GET", f"m{number}", 200, 0.1)
    metrics.ended("/v1/x", "GET", "", 404, 0.1)
    found = metrics.requests()
    assert len(found) == MOST_SERIES + 2
    assert dict(found)["openai", "/v1/x", "GET", "other", "200"] == MOST_SERIES
    assert dict(found)["openai", "/v1/x", "GET", "", "404"] == 1


@pytest.mark.parametrize(("seen", "at"), [(0.5, 0), (1.0, 0), (1.5, 1), (2.0, 1), (2.5, 2)])
def test_a_bound_belongs_to_the_bucket_below(seen: float, at: int) -> None:
    spread = Spread((1, 2))
    spread.see(seen)
    assert [found for _, found in spread.buckets()] == [*[0] * at, *[1] * (3 - at)]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/files/x/content", "/v1/files/{name}/content"),
        ("/v1/chat/completions/x/y", "/v1/chat/completions/{rest:path}"),
        ("/v1/files/x/other", "none"),
        ("/V1/models", "none"),
        ("/v1/models\n", "none"),
    ],
)
def test_a_path_is_told_by_its_template(path: str, template: str) -> None:
    known = ("/v1/models", "/v1/files/{name}/content", "/v1/chat/completions/{rest:path}")
    assert Places(known).find(path) == template


# ── the dashboard ───────────────────────────────────────────────────────────


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def test_every_number_on_the_dashboard_is_there(client: httpx2.Client) -> None:
    since = Since(client)
    client.post("/v1/chat/completions", json=chat())
    client.post("/v1/chat/completions", json=chat("nothing-of-that-name"))
    since.ended(2, route="/v1/chat/completions")
    there = {name for name, _ in scraped(client)}
    asked = set(re.findall(r"\b(?:noibo|process)_\w+", " ".join(queries())))
    assert len(asked) > 25
    assert asked <= there
    ours = {
        *(f"{name}_total" for name in COUNTERS),
        *(f"{name}_bucket" for name in HISTOGRAMS),
        *GAUGES,
    }
    assert {re.sub("_(count|sum)$", "_bucket", n) for n in there if n.startswith("noibo")} == ours
    assert ours - asked == {"noibo_build_info"}, "everything else is on it"


def test_the_dashboard_can_be_imported(client: httpx2.Client) -> None:
    answer = client.get("/noibo/v1/grafana.json")
    board = answer.json()
    assert answer.content == DASHBOARD.read_bytes()
    assert board["schemaVersion"] >= 38
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    variables = {one["name"]: one["type"] for one in board["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    assert variables["model"] == "query"
    used = set(re.findall(r"\$(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert used <= variables.keys()
    inside = [
        (one["gridPos"]["x"], one["gridPos"]["y"], one["gridPos"]["w"], one["gridPos"]["h"])
        for one in panels()
    ]
    cells = [(x + i, y + j) for x, y, w, h in inside for i in range(w) for j in range(h)]
    assert len(cells) == len(set(cells)), "no panel lies on another"
    assert max(x for x, _ in cells) == 23
