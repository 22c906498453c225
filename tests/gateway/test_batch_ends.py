"""How batches end early, who waits for whom, and what a broken database does to them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import sqlalchemy as sa

from noibo.assembly import open_stored
from noibo.database.schema import batch_results, batches, responses
from noibo.gateway.batches import records
from noibo.gateway.callers import Caller
from noibo.gateway.stored import Stored
from noibo.settings import load
from noibo.wire import batches as wire
from tests.gateway.batching import CHAT, completed, ended, line, names, results, said, sdk, sent
from tests.gateway.keeping import keep
from tests.running import RunningServer, until

ONE_SLOT = {"NOIBO_ENGINE_PARALLEL": "1"}
SOON = 20.0  # a line of these tests would take minutes
NEVER = {"x_echo": {"delay_ms": 300_000}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("ends") / "home", **ONE_SLOT) as running:
        running.load("echo")
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with sdk(server) as made:
        yield made


@pytest.mark.parametrize(("asks", "endpoint"), [(line, CHAT), (said, "/v1/responses")])
def test_a_batch_that_is_cancelled_ends_soon_and_lets_go_of_its_slots(
    client: openai.OpenAI, server: RunningServer, asks: Any, endpoint: str
) -> None:
    never = [asks(f"c{i}", **NEVER) for i in range(300)]
    made = sent(client, asks("first"), *never, endpoint=endpoint)
    until(lambda: completed(client, made) == 1, "the first is done")
    client.batches.cancel(made.id)
    done = ended(client, made, SOON)
    assert done.status == "cancelled"
    assert names(results(client, done.output_file_id)) == ["first"]
    bad = results(client, done.error_file_id)
    assert names(bad) == [f"c{i}" for i in range(300)]
    assert {row["error"]["code"] for row in bad} == {"batch_cancelled"}
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 301, "completed": 1, "failed": 300}
    server.load("echo")  # the only slot is free


def test_errors_and_lines_that_were_not_asked_stand_in_the_order_of_the_input(
    client: openai.OpenAI,
) -> None:
    lines = [line("a", temperature=9), line("b", **NEVER), line("c", temperature=9), line("d")]
    made = sent(client, *lines)

    def failed() -> int:
        counts = client.batches.retrieve(made.id).request_counts
        return counts.failed if counts else 0

    until(lambda: failed() == 2, "what cannot be served is refused")
    client.batches.cancel(made.id)
    done = ended(client, made, SOON)
    found = names(results(client, done.error_file_id))
    assert found == [name for name in "abcd" if name in found]
    assert set("abc") <= set(found)


def test_all_batches_of_an_owner_are_one_caller_and_take_eight_places(
    client: openai.OpenAI, server: RunningServer
) -> None:
    slow = {"x_echo": {"delay_ms": 300}}
    many = [sent(client, *(line(f"{b}-{i}", **slow) for i in range(12))) for b in range(4)]
    with server.client() as own:
        until(lambda: len(own.queue().waiting) >= 7, "they wait")
        for _ in range(10):
            rows = [*own.queue().waiting, *own.queue().answering]
            assert {row.caller for row in rows} <= {"batches of local"}
            assert len(own.queue().waiting) <= 8
            time.sleep(0.05)
    for made in many:
        client.batches.cancel(made.id)
    for made in many:
        assert ended(client, made, SOON).status == "cancelled"


async def made_by(stored: Stored, owner: str, *lines: dict[str, Any], url: str = CHAT) -> str:
    rows = b"\n".join(wire.msgspec.json.encode(one) for one in lines)
    card = await keep(stored, rows, owner=owner, purpose="batch")
    return (await stored.batches.add(Caller(owner=owner), wire.Asked(card.id, url, {}, None))).id


def while_no_server_runs(work: Any) -> Any:
    async def run() -> Any:
        stored = open_stored(load())
        try:
            return await work(stored)
        finally:
            await stored.database.close()

    return asyncio.run(run())


@pytest.mark.heavy
def test_what_was_to_end_when_its_server_was_killed_ends_soon(home: Path) -> None:
    async def prepare(stored: Stored) -> tuple[str, str]:
        now = int(time.time())
        lines = [line(f"c{i}", **NEVER) for i in range(3)]
        asked, over = [await made_by(stored, "local", *lines) for _ in range(2)]
        began = {"status": "in_progress", "in_progress_at": now, "total": 3}
        for name in (asked, over):
            await stored.batches.change(name, lambda batch: began)
            await stored.batches.add_result(name, 1, b'{"custom_id": "c0"}', ok=True)
        await stored.batches.change(asked, lambda b: {"status": "cancelling"})
        await stored.batches.change(over, lambda b: {"expires_at": 1.0})
        return asked, over

    asked, over = while_no_server_runs(prepare)
    with RunningServer(home) as server, sdk(server) as client:
        for name, status in ((asked, "cancelled"), (over, "expired")):
            done = ended(client, client.batches.retrieve(name), SOON)
            assert done.status == status
            assert names(results(client, done.output_file_id)) == ["c0"]
            bad = results(client, done.error_file_id)
            assert names(bad) == ["c1", "c2"]
            assert {row["error"]["code"] for row in bad} == {f"batch_{status}"}


def test_what_a_batch_stores_is_its_owners(home: Path) -> None:
    url = "/v1/responses"
    name = while_no_server_runs(lambda s: made_by(s, "mine", said("a"), said("b"), url=url))

    def whose(stored: Stored) -> Any:
        asked = sa.select(responses.c.owner, responses.c.status)
        return stored.database.read(lambda c: [tuple(row) for row in c.execute(asked)])

    def status(stored: Stored) -> Any:
        asked = sa.select(batches.c.status).where(batches.c.id == name)
        return stored.database.read(lambda c: c.execute(asked).scalar())

    with RunningServer(home) as server, sdk(server) as client:
        until(lambda: while_no_server_runs(status) == "completed", "it ends")
        assert client.batches.list().data == []
        assert client.files.list().data == []
    assert while_no_server_runs(whose) == [("mine", "completed")] * 2


# ── a database that fails for a while ───────────────────────────────────────


def renamed(home: Path, table: str, to: str) -> None:
    with sqlite3.connect(home / "noibo.db", timeout=30) as database:
        database.execute(f"ALTER TABLE {table} RENAME TO {to}")
    database.close()


@pytest.mark.heavy
def test_what_cannot_be_written_down_or_seen_for_a_while_is_not_asked_again(home: Path) -> None:
    with RunningServer(home, **ONE_SLOT) as server, sdk(server) as client:
        server.load("echo")
        lines = [said(f"c{i}", x_echo={"delay_ms": 100}) for i in range(6)]
        made = sent(client, *lines, endpoint="/v1/responses")
        until(lambda: completed(client, made) >= 1, "one is done")
        renamed(home, "batch_results", "away")
        until(lambda: "waits" in server.log.read_text(), "it is said")
        renamed(home, "away", "batch_results")
        assert ended(client, made).status == "completed"
        rows = results(client, client.batches.retrieve(made.id).output_file_id)
        renamed(home, "batches", "away")
        until(lambda: "batches are not seen" in server.log.read_text(), "it is said")
        renamed(home, "away", "batches")
        assert ended(client, sent(client, line("a"))).status == "completed"
    assert Counter(names(rows)) == Counter(f"c{i}" for i in range(6))
    count = sa.select(sa.func.count()).select_from(responses)
    asked = while_no_server_runs(lambda s: s.database.read(lambda c: c.execute(count).scalar()))
    assert asked == 6


# ── records ─────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_results_come_in_pages_of_so_many_bytes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE", 1000)
    stored = open_stored(load())
    name = await made_by(stored, "local", line("a"))
    await stored.batches.change(name, lambda b: {"status": "in_progress"})
    sizes = [10, 400, 400, 400, 5000, 10, 990, 1, *[10] * 150]
    for number, size in enumerate(sizes, 1):
        await stored.batches.add_result(name, number, b"x" * size, ok=True)
    pages = [page async for page in stored.batches.results(name, ok=True)]
    found = [[len(row.body) for row in page] for page in pages]
    await stored.database.close()
    assert [size for page in found for size in page] == sizes
    assert all(sum(page) <= 1000 or len(page) == 1 for page in found)
    assert found[:5] == [[10, 400, 400], [400], [5000], [10, 990], found[4]]


@pytest.mark.anyio
async def test_a_line_has_one_result_and_none_once_its_batch_has_gone_on(home: Path) -> None:
    stored = open_stored(load())
    name = await made_by(stored, "local", line("a"))
    add = stored.batches.add_result
    await add(name, 1, b"early", ok=True)
    await stored.batches.change(name, lambda b: {"status": "in_progress"})
    await asyncio.gather(*(add(name, 1, b"%d" % i, ok=True) for i in range(5)))
    await stored.batches.change(name, lambda b: {"status": "cancelling"})
    await add(name, 2, b"late", ok=False)
    batch = await stored.batches.get("local", name)
    kept = sa.select(batch_results.c.line, batch_results.c.body)
    rows = await stored.database.read(lambda c: [tuple(row) for row in c.execute(kept)])
    await stored.database.close()
    assert (batch.completed, batch.failed) == (1, 0)
    assert rows == [(1, "0")]
