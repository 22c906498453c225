from __future__ import annotations

import base64
import json
import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo import logs
from noibo.gateway.watching import request_id
from tests.running import RunningServer, until

MODEL = "smollm2:135m"
CANARY = "Kanarienvogel"
NAMED = {"X-Request-Id": "trace/7f:a-1"}


@contextmanager
def telling(home: Path, store: Path) -> Iterator[tuple[RunningServer, httpx2.Client]]:
    """A server that says all it can say, as JSON."""
    with (
        RunningServer(
            home,
            NOIBO_STORE_PATH=str(store),
            NOIBO_ENGINE_CTX_SIZE="512",
            NOIBO_LOG_LEVEL="debug",
            NOIBO_LOG_FORMAT="json",
        ) as server,
        httpx2.Client(base_url=server.url, timeout=120) as client,
    ):
        yield server, client


@pytest.fixture(scope="module")
def told(
    model_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, httpx2.Client]]:
    """One for those who only look."""
    with telling(tmp_path_factory.mktemp("told") / "home", model_store) as running:
        yield running


def rows(server: RunningServer) -> list[dict[str, Any]]:
    """All lines, each of them JSON."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def row_of(server: RunningServer, name: str, message: str = "a request ended") -> dict[str, Any]:
    """The line of a request that has ended."""

    def found() -> list[dict[str, Any]]:
        return [r for r in rows(server) if r.get("request_id") == name and r["message"] == message]

    until(lambda: bool(found()), f"{name} is written down")
    (row,) = found()
    return row


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": [{"role": "user", "content": "one two three"}], **more}


# ── names ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path", ["/health", "/v1/models", "/api/tags", "/noibo/v1/status", "/v1/nothing", "/slots"]
)
def test_each_answer_says_the_name_that_the_caller_gave(
    told: tuple[RunningServer, httpx2.Client], path: str
) -> None:
    _, client = told
    assert client.get(path, headers=NAMED).headers["x-request-id"] == "trace/7f:a-1"


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", 'a"b', "a\tb", "<a>", "a,b", "ü"])
def test_a_name_that_is_none_is_not_repeated(
    told: tuple[RunningServer, httpx2.Client], name: str
) -> None:
    server, client = told
    sent = [(b"x-request-id", name.encode())]
    given = client.get("/v1/models", headers=sent).headers["x-request-id"]
    assert re.fullmatch(r"req_[0-9a-f]{24}", given)
    assert row_of(server, given)["status"] == 200


def test_names_of_requests_that_have_none_differ() -> None:
    assert len({request_id.of([]) for _ in range(1000)}) == 1000


def test_anthropics_errors_say_it_in_the_body_and_in_its_header(
    told: tuple[RunningServer, httpx2.Client],
) -> None:
    _, client = told
    answer = client.post("/v1/messages", json={"model": "echo"}, headers=NAMED)
    assert answer.status_code == 400
    assert answer.json()["request_id"] == answer.headers["request-id"] == "trace/7f:a-1"
    listed = client.get("/v1/models", headers={**NAMED, "anthropic-version": "2023-06-01"})
    assert listed.headers["request-id"] == "trace/7f:a-1"
    assert "request-id" not in client.get("/v1/models", headers=NAMED).headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_path_without_its_prefix_is_one_request(
    told: tuple[RunningServer, httpx2.Client], path: str
) -> None:
    server, client = told
    answer = client.post(path, json=chat(max_tokens=1))
    (name,) = answer.headers.get_list("x-request-id")
    assert row_of(server, name)["status"] == 200


# ── lines ───────────────────────────────────────────────────────────────────


def test_a_request_is_one_line_with_what_it_took(
    told: tuple[RunningServer, httpx2.Client],
) -> None:
    server, client = told
    body = chat(model=MODEL, max_tokens=4)
    for name in ("first-1", "second-1"):
        answer = client.post("/v1/chat/completions", json=body, headers={"X-Request-Id": name})
        used = answer.json()["usage"]
        row = row_of(server, name)
        assert {k: row[k] for k in ("level", "logger", "api", "method", "route", "status")} == {
            "level": "info",
            "logger": "noibo.requests",
            "api": "openai",
            "method": "POST",
            "route": "/v1/chat/completions",
            "status": 200,
        }
        assert (row["model"], row["engine"], row["caller"]) == (MODEL, "llama_cpp", "127.0.0.1")
        assert row["tokens_in"] == used["prompt_tokens"]
        assert row["tokens_out"] == used["completion_tokens"] == 4
        assert 0 < row["first_token_ms"] < row["ms"]
        assert row["queued_ms"] <= row["first_token_ms"]
    assert row["tokens_cached"] == used["prompt_tokens_details"]["cached_tokens"] > 0


def test_every_api_has_its_lines(told: tuple[RunningServer, httpx2.Client]) -> None:
    server, client = told
    asked = {
        "/v1/completions": ("openai", {"model": "echo", "prompt": "one two"}),
        "/v1/messages": ("anthropic", chat(max_tokens=5)),
        "/api/chat": ("ollama", chat(stream=False)),
        "/completion": ("llama", {"model": MODEL, "prompt": "one two", "n_predict": 2}),
        "/v1/responses": ("openai", {"model": "echo", "input": "one two"}),
    }
    for number, (path, (api, body)) in enumerate(asked.items()):
        name = f"apis-{number}"
        assert client.post(path, json=body, headers={"X-Request-Id": name}).status_code == 200
        row = row_of(server, name)
        assert (row["api"], row["route"], row["model"]) == (api, path, body["model"])
        assert row["tokens_out"] > 0, path


def test_who_leaves_has_a_line_too(told: tuple[RunningServer, httpx2.Client]) -> None:
    server, client = told
    body = chat(stream=True, x_echo={"delay_ms": 100})
    body["messages"][0]["content"] = "word " * 200
    with client.stream(
        "POST", "/v1/chat/completions", json=body, headers={"X-Request-Id": "left-1"}
    ) as answer:
        next(answer.iter_lines())
    row = row_of(server, "left-1")
    assert row["status"] == 499
    assert row["model"] == "echo"


def test_what_goes_on_in_the_background_is_written_down_when_it_ends(
    told: tuple[RunningServer, httpx2.Client],
) -> None:
    server, client = told
    body = {"model": "echo", "input": "one two three", "background": True}
    assert client.post("/v1/responses", json=body, headers={"X-Request-Id": "back-1"}).is_success
    assert "tokens_out" not in row_of(server, "back-1")
    later = row_of(server, "back-1", "an answer went on and ended")
    assert (later["status"], later["model"], later["tokens_out"]) == (200, "echo", 3)


def test_what_failed_is_said_by_its_code(told: tuple[RunningServer, httpx2.Client]) -> None:
    server, client = told
    body = chat(model="no-such-model")
    client.post("/v1/chat/completions", json=body, headers={"X-Request-Id": "failed-1"})
    row = row_of(server, "failed-1")
    assert (row["status"], row["error"]) == (404, "model_not_found")
    assert "model" not in row


def test_machines_that_look_again_and_again_are_not_worth_a_line(
    told: tuple[RunningServer, httpx2.Client],
) -> None:
    server, client = told
    client.get("/health", headers={"X-Request-Id": "quiet-1"})
    assert row_of(server, "quiet-1")["level"] == "debug"


# ── no word of it ───────────────────────────────────────────────────────────

QUICK = ("echo", CANARY)
MODELS = (*QUICK, MODEL, f"hf.co/{CANARY}/{CANARY}:{CANARY}", f"../{CANARY}")
BROKEN = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat", "/completion")


def fields(models: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bodies with the canary wherever text may stand, well formed."""
    tool = {
        "type": "function",
        "function": {
            "name": CANARY,
            "description": CANARY,
            "parameters": {"type": "object", "properties": {CANARY: {"const": CANARY}}},
        },
    }
    call = {"id": CANARY, "type": "function", "function": {"name": CANARY, "arguments": "{}"}}
    messages = [
        {"role": "system", "content": CANARY},
        {"role": "user", "name": CANARY, "content": [{"type": "text", "text": CANARY}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": CANARY, "content": CANARY},
        {"role": "user", "content": CANARY},
    ]
    about = {
        "user": CANARY,
        "metadata": {CANARY: CANARY},
        "safety_identifier": CANARY,
        "prompt_cache_key": CANARY,
        "stop": [CANARY],
        CANARY: CANARY,
    }
    for model in models:
        said = {"model": model, "max_tokens": 3}
        yield "/v1/chat/completions", said | {"messages": messages} | about
        yield "/v1/chat/completions", said | {"messages": messages[-1:], "tools": [tool]}
        schema = {"name": CANARY, "schema": {"type": "object", "title": CANARY}}
        form = {"type": "json_schema", "json_schema": schema}
        yield "/v1/chat/completions", said | {"messages": messages[-1:], "response_format": form}
        yield "/v1/completions", said | {"prompt": CANARY, "suffix": CANARY} | about
        yield "/v1/completions", said | {"prompt": CANARY, "echo": True, "logprobs": 1}
        yield "/v1/embeddings", {"model": model, "input": CANARY, "user": CANARY}
        own = {"model": model, "max_tokens": 3, "system": CANARY, "stop_sequences": [CANARY]}
        yield (
            "/v1/messages",
            own | {"messages": messages[-1:], "metadata": {"user_id": CANARY}, CANARY: CANARY},
        )
        yield "/v1/messages/count_tokens", {"model": model, "messages": messages[-1:]}
        made = {"model": model, "input": CANARY, "instructions": CANARY, "max_output_tokens": 16}
        yield "/v1/responses", made | {"metadata": {CANARY: CANARY}, "user": CANARY}
        yield "/v1/responses", made | {"previous_response_id": CANARY, CANARY: CANARY}
        options = {"num_predict": 3, "num_thread": 1, CANARY: CANARY}
        turns = {"model": model, "messages": messages[-1:], "options": options, "stream": False}
        yield "/api/chat", turns | {"keep_alive": CANARY}
        yield "/api/chat", {**turns, "options": {"num_predict": 3, "num_thread": 1}}
        yield (
            "/api/generate",
            {
                "model": model,
                "prompt": CANARY,
                "system": CANARY,
                "suffix": CANARY,
                "template": CANARY,
            },
        )
        yield "/api/show", {"model": model}
        yield "/api/create", {"model": CANARY, "from": model + CANARY, "system": CANARY}
        yield "/completion", {"model": model, "prompt": CANARY, "n_predict": 3, "stop": [CANARY]}
        yield "/infill", {"model": model, "input_prefix": CANARY, "input_suffix": CANARY}
        yield "/tokenize", {"model": model, "content": CANARY}
        yield "/apply-template", {"model": model, "messages": messages[-1:]}
        yield "/v1/rerank", {"model": model, "query": CANARY, "documents": [CANARY]}
    yield "/v1/batches", {"input_file_id": CANARY, "endpoint": CANARY, "completion_window": CANARY}
    yield "/noibo/v1/models/pull", {"model": f"{CANARY}://{CANARY}"}
    yield "/noibo/v1/session", {"name": CANARY, "password": CANARY}
    yield f"/v1/{CANARY}", {}
    yield f"/api/{CANARY}?{CANARY}={CANARY}", {}
    yield f"/v1/models/{CANARY}", {}


def broken(path: str) -> Iterator[bytes]:
    """Bodies that cannot be read, or hold something else than they should."""
    yield f'{{"model": "{CANARY}"'.encode()
    yield f'{{"{CANARY}": 1, "{CANARY}": 2}}'.encode()
    yield json.dumps(CANARY).encode()
    yield CANARY.encode() + b"\xff"
    for name in ("model", "messages", "prompt", "input", "stream", "max_tokens", "keep_alive"):
        sound = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "prompt": "x"}
        yield json.dumps({**sound, "input": "x", name: {CANARY: [CANARY]}}).encode()


def sing_everywhere(client: httpx2.Client, models: tuple[str, ...]) -> None:
    """Send the canary through every field there is."""
    headers = {
        "X-Canary": CANARY,
        "User-Agent": CANARY,
        "Cookie": f"noibo_session={CANARY}",
        "Authorization": f"Bearer noibo{CANARY}",
    }
    paths = []
    for path, body in fields(models):
        client.post(path, json=body, headers=headers, params={"q": CANARY})
        paths.append(path.partition("?")[0])
    several = len(models) > len(QUICK)
    for path in dict.fromkeys(paths) if several else BROKEN:
        for text in broken(path):
            client.post(path, content=text, headers=headers)
    for odd in ({"Origin": f"https://{CANARY}.example"}, {"X-Noibo-Priority": CANARY}):
        client.post("/v1/chat/completions", json=chat(), headers=odd)
    line = {"custom_id": CANARY, "method": "POST", "url": "/v1/chat/completions"}
    upload(client, f"{CANARY}.txt", CANARY.encode())
    name = upload(client, f"{CANARY}.jsonl", json.dumps(line | {"body": chat()}).encode())
    batch = {"input_file_id": name, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = client.post("/v1/batches", json=batch | {"metadata": {CANARY: CANARY}}).json()
    path = f"/v1/batches/{made['id']}"
    until(lambda: client.get(path).json()["status"] in {"completed", "failed"}, "the batch ends")
    for file in client.get("/v1/files").json()["data"]:
        client.delete(f"/v1/files/{file['id']}")


def upload(client: httpx2.Client, name: str, said: bytes) -> str:
    sent = client.post("/v1/files", files={"file": (name, said)}, data={"purpose": "batch"})
    return str(sent.json()["id"])


def make_the_engine_fail(server: RunningServer, client: httpx2.Client) -> None:
    """With the canary in its prompt: by an answer of nonsense, and by the end of its process."""
    for kind in ({"status": 500}, {"cut_after": 1}, {"die_after": 1}):
        with suppress(httpx2.HTTPError):
            client.post("/v1/chat/completions", json=chat(x_echo=kind))
    body = chat(
        model=MODEL, stream=True, max_tokens=400, messages=[{"role": "user", "content": CANARY}]
    )
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        said = answer.iter_lines()
        next(said)
        for worker in server.workers():
            worker.kill()
        assert any("error" in line for line in said)


@pytest.mark.parametrize(
    "models", [QUICK, pytest.param(MODELS, marks=pytest.mark.heavy)], ids=["quick", "all"]
)
def test_no_word_of_a_request_is_logged(
    home: Path, model_store: Path, models: tuple[str, ...]
) -> None:
    with telling(home, model_store) as (server, client):
        no_word(server, client, models)


def no_word(server: RunningServer, client: httpx2.Client, models: tuple[str, ...]) -> None:
    sing_everywhere(client, models)
    make_the_engine_fail(server, client)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    assert server.process.stdout is not None
    said = server.process.stdout.read() + server.log.read_text()
    assert len(rows(server)) > 100
    forms = [CANARY.encode(), base64.b64encode(CANARY.encode())[:16], CANARY[::-1].encode()]
    files = [p for p in server.home.rglob("*") if p.is_file() and ".db" not in p.name]
    for form in forms:
        for line in said.encode().splitlines():
            assert form.lower() not in line.lower(), line
        for file in files:
            assert form.lower() not in file.read_bytes().lower(), file


def fail_with(error: Exception) -> Exception:
    try:
        raise error
    except Exception as exc:  # noqa: BLE001 - to have a way through the code
        return exc


@pytest.mark.parametrize("form", [logs.Text(), logs.Json()])
def test_an_exception_is_told_by_its_way_and_not_by_its_words(form: logging.Formatter) -> None:
    inner = fail_with(ValueError(CANARY))
    outer = fail_with(RuntimeError(CANARY))
    outer.__cause__ = inner
    info = (type(outer), outer, outer.__traceback__)
    record = logging.LogRecord("noibo.x", logging.ERROR, "", 0, "it failed", (), info)
    said = form.format(record)
    assert CANARY not in said
    assert said.index("ValueError") < said.index("RuntimeError")
    assert "in fail_with" in said


@pytest.mark.parametrize("form", [logs.Text(), logs.Json()])
def test_of_another_library_only_the_first_line_is_told(form: logging.Formatter) -> None:
    words = f"Task exception was never retrieved\nfuture: <Task exception=ValueError({CANARY!r})>"
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, words, (), None)
    assert "never retrieved" in form.format(record)
    assert CANARY not in form.format(record)


def test_people_read_a_sentence(server: RunningServer) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        client.post("/v1/chat/completions", json=chat(), headers={"X-Request-Id": "said-1"})
    until(lambda: "(said-1)" in server.log.read_text(), "it is written down")
    (line,) = [x for x in server.log.read_text().splitlines() if "noibo.requests" in x]
    assert re.search(
        r"INFO +noibo\.requests: POST /v1/chat/completions 200, [\d.]+ ms, echo by echo, "
        r"tokens \d+ in \(0 cached\) \d+ out, .*for 127\.0\.0\.1 \(said-1\)$",
        line,
    )
