"""Models elsewhere, seen from outside: offline nothing is reached; else what the ledger says, and
nothing that it does not say."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from noibo.egress_ledger import departures
from noibo.ledger.check import check
from noibo.wire.management import GUARD_HEADER
from tests.gateway.admitting import concrete, own_address, routes
from tests.running import PATIENCE_S, RunningServer, run_noibo, until
from tests.watch.test_egress_watch import watched
from tests.watch.watching import Watch, declared_in

pytestmark = [pytest.mark.watch, pytest.mark.usefixtures("no_process_left")]

SECRET = {"X-Noibo-Label": "secret"}
ASKED = "Số căn cước của Nguyễn Văn An là 001099012345."
CLOUDS = """
[models."far"]
engine = "remote"
base_url = "http://192.0.2.7/v1"
model = "large"

[models."named"]
engine = "remote"
base_url = "https://llm.example.com/v1"
model = "large"

[routing.api]
model = "far"

[virtual.either]
candidates = ["far", "named"]
strategy = "cascade"
"""


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Watches one run of a program."""
    return Watch(tmp_path / "calls")


@contextlib.contextmanager
def watched_server(home: Path, watch: Watch, settings: str, **environ: str) -> Iterator[str]:
    """A server under the watcher, with settings of its own; its address."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "noibo.toml").write_text(settings)
    with RunningServer(home, wrapper=watch.command, **environ) as server:
        pid = server.pid
        try:
            yield server.url
        finally:
            psutil.Process(pid).terminate()
            server.process.wait(PATIENCE_S)


def chat(model: str, text: str = ASKED) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 8}


def responses(model: str) -> dict[str, Any]:
    return {"model": model, "input": ASKED}


def prompt(model: str) -> dict[str, Any]:
    return {"model": model, "prompt": ASKED}


def embedding(model: str) -> dict[str, Any]:
    return {"model": model, "input": ASKED}


def reranking(model: str) -> dict[str, Any]:
    return {"model": model, "query": ASKED, "documents": [ASKED, "b"]}


WAYS: tuple[tuple[str, Callable[[str], dict[str, Any]]], ...] = (
    ("/v1/chat/completions", chat),
    ("/v1/completions", prompt),
    ("/v1/responses", responses),
    ("/v1/messages", chat),
    ("/v1/embeddings", embedding),
    ("/api/chat", chat),
    ("/api/generate", prompt),
    ("/api/embed", embedding),
    ("/v1/messages/count_tokens", chat),
    ("/v1/responses/compact", responses),
    ("/v1/responses/input_tokens", responses),
    ("/v1/chat/completions/input_tokens", chat),
    ("/v1/rerank", reranking),
    ("/infill", prompt),
    ("/apply-template", chat),
)


def test_offline_no_api_reaches_a_model_elsewhere(home: Path, watch: Watch) -> None:
    with watched_server(home, watch, CLOUDS, NOIBO_OFFLINE="1") as url, httpx2.Client() as client:
        for path, body in WAYS:
            for model in ("far", "named", "either"):
                for more in ({}, {"stream": True}):
                    answer = client.post(url + path, json=body(model) | more, timeout=60)
                    assert answer.status_code >= 400 or "error" in answer.text, (path, model)
        said = client.post(f"{url}/v1/chat/completions", json=chat("far")).json()
        assert "offline" in said["error"]["message"]
        assert said["error"]["code"] == "egress_refused"
        client.post(f"{url}/v1/chat/completions", json=chat("auto"), timeout=60)
        client.post(f"{url}/noibo/v1/workers/far/load", headers={"X-Noibo-Client": "1"})
        assert client.post(f"{url}/v1/chat/completions", json=chat("echo")).status_code == 200
        assert client.get(f"{url}/v1/models").status_code == 200
        assert client.get(f"{url}/metrics").status_code == 200
    assert watch.inet(), "the connection to the worker was seen"
    assert watch.departures() == []
    assert declared_in(home / "egress.jsonl") == set()


# Whatever any route may be asked for, in one body: it names a model elsewhere wherever it can.
ANYTHING: dict[str, Any] = {
    **chat("far"), **responses("far"), **prompt("far"), **reranking("far"),
    "content": ASKED, "tokens": [1, 2], "name": "hf:someone/else", "source": "hf:someone/else",
    "from": "far", "destination": "further", "query": ASKED, "vote": "up", "request_id": "req_1",
    "endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "file-1",
}  # fmt: skip
ENDS = {"/noibo/v1/shutdown"}


def test_offline_no_route_reaches_anybody(home: Path, watch: Watch) -> None:
    asked = [(method, concrete(path, "far")) for method, path in routes() if path not in ENDS]
    assert {("GET", "/noibo/v1/usage"), ("POST", "/noibo/v1/feedback")} <= set(asked)
    with (
        watched_server(home, watch, CLOUDS, NOIBO_OFFLINE="1") as url,
        httpx2.Client(headers={GUARD_HEADER: "1"}, timeout=60) as client,
    ):
        for method, path in asked:
            body = ANYTHING if method in {"POST", "PUT", "PATCH"} else None
            answer = client.request(method, f"{url}{path}", params={"q": "llama"}, json=body)
            assert answer.status_code not in {500, 502}, (method, path, answer.text)
    assert watch.inet(), "it was watched"
    assert watch.departures() == []
    assert declared_in(home / "egress.jsonl") == set()


@pytest.mark.heavy
def test_offline_a_batch_reaches_nobody(home: Path, watch: Watch) -> None:
    ask = {"method": "POST", "url": "/v1/chat/completions"}
    lines = [
        json.dumps({"custom_id": model, "body": chat(model), **ask})
        for model in ("far", "named", "either", "auto")
    ]
    with (
        watched_server(home, watch, CLOUDS, NOIBO_OFFLINE="1") as url,
        httpx2.Client(base_url=url, timeout=60) as client,
    ):
        data = {"file": ("lines.jsonl", "\n".join(lines).encode())}
        file = client.post("/v1/files", files=data, data={"purpose": "batch"}).json()["id"]
        fields = {"endpoint": ask["url"], "completion_window": "24h", "input_file_id": file}
        batch = client.post("/v1/batches", json=fields).json()["id"]

        def ended() -> bool:
            return client.get(f"/v1/batches/{batch}").json()["status"] in {"completed", "failed"}

        until(ended, "the batch has ended")
        assert client.get(f"/v1/batches/{batch}").json()["request_counts"]["total"] == 4
    assert watch.departures() == []
    assert declared_in(home / "egress.jsonl") == set()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "command",
    [
        "privacy verify", "privacy report", "privacy report --by user", "privacy audit",
        "privacy find-person --text Nguyen", "privacy erase-person --user local --yes",
        "privacy retain", "privacy head", "privacy sent /dev/null", "privacy scan /dev/null",
        "privacy reseal", "usage", "route explain Hello", "route score /dev/null",
    ],
)  # fmt: skip
def test_commands_about_privacy_reach_nobody(home: Path, watch: Watch, command: str) -> None:
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text(CLOUDS)
    python = (sys.executable, "-m", "noibo", *command.split())
    done = watched(watch, *python, NOIBO_HOME=str(home))
    assert "Traceback" not in done.stderr
    assert watch.departures() == []


# ── a real server on an address that is not loopback ────────────────────────


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Another noibo, as others see it: its address, and a key of it."""
    home, address = tmp_path / "elsewhere" / "home", own_address()
    key = run_noibo("key", "create", "house", home=home).stdout.strip()
    with RunningServer(home, "--host", "0.0.0.0") as server:
        yield f"http://{address}:{server.url.rpartition(':')[2]}", key


def cloud(elsewhere: tuple[str, str]) -> str:
    url, key = elsewhere
    return (
        f'[models."far"]\nengine = "remote"\nbase_url = "{url}/v1"\nmodel = "echo"\n'
        f'api_key = "{key}"\nown_network = true\n[privacy]\nrules = {{ personal = "leave" }}\n'
    )


def test_what_leaves_is_what_the_ledger_says(
    home: Path, watch: Watch, elsewhere: tuple[str, str]
) -> None:
    with watched_server(home, watch, cloud(elsewhere)) as url:
        answer = httpx2.post(f"{url}/v1/chat/completions", json=chat("far", "Hello there"))
        assert answer.status_code == 200, answer.text
        kept = httpx2.post(f"{url}/v1/chat/completions", json=chat("far"), headers=SECRET)
        assert kept.status_code == 403
    found = [one for one in departures(home / "egress.jsonl") if one.bytes]
    assert [one.purpose for one in found] == ["cloud_model"]
    assert not found[0].is_open
    assert declared_in(home / "egress.jsonl") == {_place(elsewhere)}
    assert {(one.host, one.port) for one in watch.departures()} == {_place(elsewhere)}
    assert watch.departures(declared_in(home / "egress.jsonl")) == []
    assert check(home / "egress.jsonl").sound
    text = (home / "egress.jsonl").read_text()
    assert "Hello" not in text
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows[0]["kind"] == "departure"


def test_what_must_stay_makes_no_connection(
    home: Path, watch: Watch, elsewhere: tuple[str, str]
) -> None:
    with watched_server(home, watch, cloud(elsewhere)) as url:
        for path, body in WAYS:
            answer = httpx2.post(url + path, json=body("far"), headers=SECRET, timeout=60)
            assert answer.status_code >= 400 or "error" in answer.text, path
    assert watch.departures() == []
    assert declared_in(home / "egress.jsonl") == set()


def _place(elsewhere: tuple[str, str]) -> tuple[str, int]:
    host, _, port = elsewhere[0].rpartition("//")[2].rpartition(":")
    return host, int(port)
