"""OpenAI's batches through the official client: every line once, whatever happens to the server."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from noibo.assembly import open_stored
from noibo.errors import InvalidRequest, NotFound
from noibo.gateway.callers import Caller
from noibo.gateway.page import Page
from noibo.settings import load
from noibo.wire import batches as wire
from noibo.wire.batch_usage import Usage
from noibo.wire.body import raw
from tests.gateway.batching import CHAT, completed, ended, line, names, results, sdk, sent
from tests.gateway.keeping import keep
from tests.running import RunningServer, until

ONE_SLOT = {"NOIBO_ENGINE_PARALLEL": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("batches") / "home", **ONE_SLOT) as running:
        running.load("echo")
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with sdk(server) as made:
        yield made


# ── done ────────────────────────────────────────────────────────────────────


def test_every_line_is_answered_in_the_order_of_the_input(client: openai.OpenAI) -> None:
    made = sent(client, *(line(f"c{i}") for i in range(12)), metadata={"a": "b"})
    assert made.status == "validating"
    done = ended(client, made)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 12, "completed": 12, "failed": 0}
    assert done.metadata == {"a": "b"}
    assert done.model == "echo"
    assert done.error_file_id is None
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens) == (24, 24)
    stamps = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert None not in stamps
    assert stamps == sorted(stamps)  # type: ignore[type-var]
    assert done.expires_at == done.created_at + 86_400
    rows = results(client, done.output_file_id)
    assert names(rows) == [f"c{i}" for i in range(12)]
    assert len({row["id"] for row in rows}) == 12
    for row in rows:
        assert row["error"] is None
        assert row["response"]["status_code"] == 200
        assert row["response"]["request_id"]
        said = row["response"]["body"]["choices"][0]["message"]["content"]
        assert said == f"say {row['custom_id']}"
    file = client.files.retrieve(done.output_file_id or "")
    assert (file.purpose, file.expires_at) == ("batch_output", None)
    assert made.id in [one.id for one in client.batches.list(limit=5)]


def test_lines_that_are_refused_stand_in_the_error_file(client: openai.OpenAI) -> None:
    bad = line("bad", temperature=9)
    lost = line("lost", model="nope:1b")
    done = ended(client, sent(client, line("good"), bad, lost))
    assert done.status == "completed"
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 2)
    assert names(results(client, done.output_file_id)) == ["good"]
    errors = results(client, done.error_file_id)
    assert [row["response"]["status_code"] for row in errors] == [400, 404]
    assert "temperature" in errors[0]["response"]["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "a b"}),
        ("/v1/responses", {"input": "a b"}),
    ],
)
def test_other_endpoints_are_served(
    client: openai.OpenAI, endpoint: str, body: dict[str, Any]
) -> None:
    one = line("x", endpoint) | {"body": {"model": "echo"} | body}
    done = ended(client, sent(client, one, endpoint=endpoint))
    (row,) = results(client, done.output_file_id)
    assert row["response"]["status_code"] == 200
    if endpoint == "/v1/responses":
        kept = client.responses.retrieve(row["response"]["body"]["id"])
        assert kept.output_text == "a b"
        assert done.usage is not None
        assert done.usage.output_tokens == 2


def test_output_files_expire_when_it_is_wished(client: openai.OpenAI) -> None:
    made = sent(client, line("a"), output_expires_after={"anchor": "created_at", "seconds": 3600})
    file = client.files.retrieve(ended(client, made).output_file_id or "")
    assert file.expires_at is not None
    assert file.expires_at - file.created_at in {3600, 3601}


# ── refused ─────────────────────────────────────────────────────────────────

WRONG: list[tuple[Any, str, str | None]] = [
    (b"{", "invalid_json_line", None),
    (b'{"custom_id": "a", "custom_id": "b"}', "invalid_json_line", None),
    (b"\xff", "invalid_json_line", None),
    ({"method": "POST", "url": CHAT, "body": {}}, "missing_required_parameter", "custom_id"),
    (line("a") | {"custom_id": 7}, "invalid_type", "custom_id"),
    (line(""), "invalid_custom_id", "custom_id"),
    (line("a") | {"method": "GET"}, "invalid_method", "method"),
    (line("a", "/v1/embeddings"), "invalid_url", "url"),
    (line("a") | {"body": []}, "invalid_type", "body"),
    (line("a") | {"colour": 1}, "unknown_parameter", "colour"),
    (line("a", stream=True), "invalid_body", "body.stream"),
]


def test_each_line_that_cannot_be_asked_is_told_with_its_number(client: openai.OpenAI) -> None:
    lines = [line("good"), *(one for one, _, _ in WRONG), line("good")]
    done = ended(client, sent(client, *lines))
    assert done.status == "failed"
    assert done.failed_at is not None
    assert done.output_file_id is None
    assert done.errors is not None
    found = [(one.line, one.code, one.param) for one in done.errors.data or []]
    expected = [(i, code, param) for i, (_, code, param) in enumerate(WRONG, 2)]
    assert found == [*expected, (len(lines), "duplicate_custom_id", "custom_id")]
    assert all(one.message for one in done.errors.data or [])


def test_a_file_without_a_request_fails(client: openai.OpenAI) -> None:
    done = ended(client, sent(client, b"", b"  "))
    assert done.errors is not None
    assert [one.code for one in done.errors.data or []] == ["empty_file"]


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("endpoint", {"endpoint": "/v1/images/generations"}),
        ("endpoint", {"endpoint": None}),
        ("completion_window", {"completion_window": "1h"}),
        ("input_file_id", {"input_file_id": None}),
        ("input_file_id", {"input_file_id": "../x"}),
        ("metadata", {"metadata": {str(i): "" for i in range(17)}}),
        ("output_expires_after", {"output_expires_after": {"anchor": "now", "seconds": 3600}}),
        (
            "output_expires_after.seconds",
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
        ),
        ("colour", {"colour": 1}),
    ],
)
def test_a_request_that_cannot_be_names_the_field(param: str, fields: dict[str, Any]) -> None:
    good = {"input_file_id": "file-1", "endpoint": CHAT, "completion_window": "24h"}
    wire.read({name: raw(value) for name, value in good.items()})
    with pytest.raises(InvalidRequest) as caught:
        wire.read({name: raw(value) for name, value in (good | fields).items()})
    assert caught.value.param == param


def test_every_field_that_the_sdk_sends_is_known() -> None:
    from openai.types.batch_create_params import BatchCreateParams

    assert set(BatchCreateParams.__annotations__) == set(wire._FIELDS)


def test_a_file_of_another_purpose_or_none_is_refused(client: openai.OpenAI) -> None:
    file = client.files.create(file=("a", b"b"), purpose="user_data")
    for name in (file.id, "file-0"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.batches.create(input_file_id=name, endpoint=CHAT, completion_window="24h")
        assert caught.value.param == "input_file_id"
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_0")
    with pytest.raises(openai.NotFoundError):
        client.batches.cancel("batch_0")


ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # what Python's splitlines takes for the end


@pytest.mark.parametrize("indent", [None, 2])
def test_a_result_is_one_line_whatever_is_in_it(indent: int | None) -> None:
    body = {"text": f"a{ENDS}b Huế", "n": 12345678901234567890, "f": 0.1, "empty": [{}]}
    sent = json.dumps(body, indent=indent, ensure_ascii=False).encode()
    row = wire.Line(1, f"a{ENDS}", b"").answered(200, sent)
    assert len(row.decode().splitlines()) == 1
    told = json.loads(row)
    assert (told["custom_id"], told["response"]["body"]) == (f"a{ENDS}", body)
    broken = json.loads(wire.Line(1, "a", b"").answered(502, b"<html>"))
    assert broken["response"]["body"] == {"error": {"message": "no JSON"}}


def test_a_line_longer_than_a_request_may_be_is_told_and_not_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "LONGEST_LINE", 200)
    good = json.dumps(line("a")).encode()
    file = io.BytesIO(b"\n".join([good, b"{" + b" " * 5000, json.dumps(line("b")).encode(), b""]))
    rows = list(wire.rows(file))
    assert [len(row) <= 201 for row in rows] == [True] * 3
    found = wire.check(rows, CHAT)
    assert found.total == 3
    assert [(one["line"], one["code"]) for one in found.errors or []] == [(2, "line_too_long")]


def test_the_tokens_of_answers_of_every_kind_are_counted() -> None:
    used = Usage()
    bodies: list[Any] = [
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {"usage": {"input_tokens": 10, "output_tokens": 20}},
        {"usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 5}}},
        {"usage": {"prompt_tokens": "many", "completion_tokens_details": 7}},
        {"usage": {"prompt_tokens": -5, "completion_tokens": 2**60}},
        {"usage": None},
        {"usage": 3},
        [1],
        "text",
        None,
    ]
    for body in bodies:
        used.add(wire.Line(1, "a", b"").answered(200, json.dumps(body).encode()))
    used.add(wire.Line(1, "a", b"").unanswered("code", "message"))
    told = used.told()
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (12, 22, 34)
    assert told["input_tokens_details"] == {"cached_tokens": 5}


# ── while it runs ───────────────────────────────────────────────────────────


def test_who_wants_an_answer_now_goes_before_all_lines_that_wait(
    client: openai.OpenAI, server: RunningServer
) -> None:
    slow = {"x_echo": {"delay_ms": 150}}
    made = sent(client, *(line(f"c{i}", **slow) for i in range(10)))
    with server.client() as own, ThreadPoolExecutor(3) as pool:
        until(lambda: len(own.queue().waiting) >= 5, "lines wait")

        def ask(word: str) -> int:
            messages: Any = [{"role": "user", "content": word}]
            answer = client.chat.completions.create(model="echo", messages=messages)
            assert answer.choices[0].message.content == word
            return completed(client, made)

        before = completed(client, made)
        done = max(pool.map(ask, ["now", "here", "fast"]))
        # Each waits for the line under way at most; one more may end while it is counted.
        assert done - before <= 4
        rows = own.queue().waiting
        assert all(row.priority == "batch" for row in rows)
    finished = ended(client, made)
    assert finished.request_counts is not None
    assert finished.request_counts.completed == 10


def test_a_batch_that_is_cancelled_keeps_what_is_done(
    client: openai.OpenAI, server: RunningServer
) -> None:
    made = sent(client, *(line(f"c{i}", x_echo={"delay_ms": 100}) for i in range(30)))
    until(lambda: completed(client, made) >= 2, "some are done")
    with pytest.raises(openai.ConflictError, match="still reads"):
        client.files.delete(made.input_file_id)
    assert client.batches.cancel(made.id).status == "cancelling"
    done = ended(client, made)
    assert done.status == "cancelled"
    assert done.cancelling_at is not None
    assert done.cancelled_at is not None
    good, bad = results(client, done.output_file_id), results(client, done.error_file_id)
    assert 2 <= len(good) < 30
    assert Counter(names(good + bad)) == Counter(f"c{i}" for i in range(30))
    assert {row["error"]["code"] for row in bad} == {"batch_cancelled"}
    assert client.batches.cancel(made.id).status == "cancelled"
    client.files.delete(made.input_file_id)
    with server.client() as own:
        until(lambda: not own.queue().waiting, "nothing waits")


def test_what_is_over_cannot_be_cancelled(client: openai.OpenAI) -> None:
    made = sent(client, line("a"))
    ended(client, made)
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.batches.cancel(made.id)


@pytest.mark.heavy
def test_lines_whose_worker_dies_are_asked_again(client: openai.OpenAI) -> None:
    done = ended(client, sent(client, line("a", x_echo={"cut_after": 0}), line("b")))
    assert names(results(client, done.output_file_id)) == ["b"]
    (row,) = results(client, done.error_file_id)
    assert row["response"]["status_code"] == 502


@pytest.mark.anyio
async def test_another_owner_sees_nothing(home: Path) -> None:
    stored = open_stored(load())
    card = await keep(stored, owner="mine", purpose="batch")
    made = await stored.batches.add(Caller(owner="mine"), wire.Asked(card.id, CHAT, {}, None))
    assert (await stored.batches.get("mine", made.id)).id == made.id
    with pytest.raises(NotFound):
        await stored.batches.get("other", made.id)
    assert (await stored.batches.page("other", Page(10)))["data"] == []
    with pytest.raises(InvalidRequest, match="no file"):
        await stored.batches.add(Caller(owner="other"), wire.Asked(card.id, CHAT, {}, None))
    await stored.database.close()


@pytest.mark.heavy
def test_vectors_are_made_in_a_batch(real_server: RunningServer) -> None:
    with sdk(real_server) as client:
        endpoint = "/v1/embeddings"
        one = line("x", endpoint) | {"body": {"model": "smollm2:135m", "input": ["a", "b"]}}
        done = ended(client, sent(client, one, endpoint=endpoint))
        (row,) = results(client, done.output_file_id)
        assert len(row["response"]["body"]["data"]) == 2
        assert done.usage is not None
        assert done.usage.input_tokens == row["response"]["body"]["usage"]["prompt_tokens"]
