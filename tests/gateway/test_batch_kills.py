"""Servers that are killed while they work on batches and take files in: nothing is lost, nothing is
done twice, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import sqlalchemy as sa

from noibo.assembly import open_database, open_stored
from noibo.database.schema import batches, files, leases
from noibo.settings import load
from tests.gateway.batching import (
    ENDED,
    completed,
    ended,
    line,
    names,
    results,
    said,
    sdk,
    sent,
)
from tests.postgresql import running_postgresql
from tests.running import RunningServer, until

ONE_SLOT = {"NOIBO_ENGINE_PARALLEL": "1"}


@pytest.mark.heavy
def test_a_server_killed_in_the_middle_goes_on_and_answers_each_line_once(home: Path) -> None:
    lines = [line(f"c{i}", x_echo={"delay_ms": 40}) for i in range(60)]
    with RunningServer(home) as server, sdk(server) as client:
        server.load("echo")
        made = sent(client, *lines)
        until(lambda: completed(client, made) >= 12, "some are done")
        server.process.kill()
        server.process.wait()
    kept = asyncio.run(results_on_disk(made.id))
    assert 12 <= len(kept) < 60
    with RunningServer(home) as server, sdk(server) as client:
        done = ended(client, made)
        assert done.status == "completed"
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 60, "completed": 60, "failed": 0}
        rows = results(client, done.output_file_id)
        assert Counter(names(rows)) == Counter(f"c{i}" for i in range(60))
        found = {row["id"] for row in rows}
        assert kept <= found  # what was on the disk was not asked again
        until(lambda: not asyncio.run(results_on_disk(made.id)), "results stand in files alone")


async def results_on_disk(batch: str) -> set[str]:
    stored = open_stored(load())
    pages = [page async for page in stored.batches.results(batch, ok=True)]
    await stored.database.close()
    return {json.loads(row.body)["id"] for page in pages for row in page}


@pytest.mark.heavy
def test_of_two_servers_of_a_home_one_runs_batches_and_the_other_takes_over(home: Path) -> None:
    lines = [line(f"c{i}", x_echo={"delay_ms": 60}) for i in range(60)]
    with RunningServer(home) as first:
        with sdk(first) as client:
            ended(client, sent(client, line("warm")))
        second_home = RunningServer(home)
        with second_home as second, sdk(second) as client:
            made = sent(client, *lines)
            until(lambda: completed(client, made) >= 5, "the first does some")
            with second.client() as own:
                assert own.workers() == []
            first.process.kill()
            first.process.wait()
            done = ended(client, made)
            rows = results(client, done.output_file_id)
            assert Counter(names(rows)) == Counter(f"c{i}" for i in range(60))


@pytest.mark.anyio
@pytest.mark.heavy
async def test_a_batch_whose_time_is_over_expires_with_what_is_done(home: Path) -> None:
    with RunningServer(home, **ONE_SLOT) as server, sdk(server) as client:
        server.load("echo")
        made = await asyncio.to_thread(
            sent, client, *(line(f"c{i}", x_echo={"delay_ms": 100}) for i in range(30))
        )
        some = lambda: completed(client, made) >= 2  # noqa: E731
        await asyncio.to_thread(until, some, "some are done")
        database = open_database(load())
        over = batches.update().where(batches.c.id == made.id).values(expires_at=1.0)
        await database.write(lambda connection: connection.execute(over))
        await database.close()
        done = await asyncio.to_thread(ended, client, made)
        good, bad = results(client, done.output_file_id), results(client, done.error_file_id)
    assert done.status == "expired"
    assert done.expired_at is not None
    assert len(good) >= 2
    assert Counter(names(good + bad)) == Counter(f"c{i}" for i in range(30))
    assert {row["error"]["code"] for row in bad} == {"batch_expired"}


# ── two servers of one PostgreSQL database ──────────────────────────────────


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


def scalar(asked: Any) -> Any:
    async def read() -> Any:
        database = open_database(load())
        try:
            return await database.read(lambda connection: connection.execute(asked).scalar())
        finally:
            await database.close()

    return asyncio.run(read())


@pytest.mark.heavy
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_of_two_servers_of_postgresql_one_runs_a_batch_and_the_other_takes_over(
    home: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql)
    environ = {"NOIBO_DATABASE_URL": postgresql, **ONE_SLOT}
    with (
        RunningServer(home, **environ) as runs,
        sdk(runs) as early,
        RunningServer(home, **environ) as waits,
        sdk(waits) as client,
    ):
        ended(early, sent(early, line("warm")))
        assert runs.workers()
        slow = [said(f"c{i}", x_echo={"delay_ms": 100}) for i in range(60)]
        made = sent(client, *slow, endpoint="/v1/responses")
        until(lambda: completed(client, made) >= 8, "the first does some")
        assert waits.workers() == []
        done_before = completed(client, made)
        runs.process.send_signal(how)
        until(lambda: completed(client, made) >= 40, "the other goes on")
        runs.process.send_signal(signal.SIGCONT)  # it does not know that it has lost
        done = ended(client, made)
        assert done.status == "completed"
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 60, "completed": 60, "failed": 0}
        rows = results(client, done.output_file_id)
        assert names(rows) == [f"c{i}" for i in range(60)]
        asked = {client.responses.retrieve(row["response"]["body"]["id"]).id for row in rows}
        assert len(asked) == 60
        assert done_before >= 8
        until(lambda: not [name for name in listed(home) if name.endswith(".part")], "it is swept")
        assert listed(home) >= {made.input_file_id, done.output_file_id or ""}
        if how == signal.SIGKILL:
            runs.process.wait()


def listed(home: Path) -> set[str]:
    return {path.name for path in (home / "files").iterdir()}


@pytest.mark.heavy
def test_a_lease_goes_by_the_clock_of_the_database(
    home: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql)

    async def run() -> None:
        first, second = open_database(load()), open_database(load())
        held = await first.hold("x")
        assert held is not None
        monkeypatch.setattr(time, "time", lambda: 4e9)  # of a machine whose clock is wrong
        assert await second.hold("x") is None
        over = leases.update().where(leases.c.name == "x").values(until=1.0)
        await first.write(lambda connection: connection.execute(over))
        taken = await second.hold("x")
        assert taken is not None
        assert not await held.lasts()
        await held.release()  # not the other's
        assert await taken.lasts()
        await taken.release()
        for database in (first, second):
            await database.close()

    asyncio.run(run())


# ── uploads, and everything at once ─────────────────────────────────────────

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
)


def half_an_upload(server: RunningServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    half = socket.create_connection((host, int(port)))
    head = f"POST /v1/files HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9000000\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    half.sendall((head + kind).encode() + FORM + b"x" * 2_500_000)
    return half


def killed(server: RunningServer) -> None:
    server.process.kill()
    server.process.wait()


@pytest.mark.heavy
def test_an_upload_whose_server_is_killed_is_gone_when_the_next_one_runs(home: Path) -> None:
    with RunningServer(home) as server, sdk(server) as client:
        kept = client.files.create(file=("a", b"b"), purpose="evals").id
        with half_an_upload(server):
            until(lambda: len(listed(home)) == 2, "it is being written")
            killed(server)
    with RunningServer(home) as server, sdk(server) as client:
        until(lambda: listed(home) == {kept}, "nothing else is left", 20)
        assert [one.id for one in client.files.list()] == [kept]


@pytest.mark.heavy
def test_what_expires_while_no_server_runs_is_removed_when_one_does(home: Path) -> None:
    with RunningServer(home) as server, sdk(server) as client:
        after: Any = {"anchor": "created_at", "seconds": 3600}
        made = client.files.create(file=("a", b"b"), purpose="evals", expires_after=after)
        assert listed(home) == {made.id}

    async def age() -> None:
        database = open_database(load())
        over = files.update().values(expires_at=time.time() - 1)
        await database.write(lambda connection: connection.execute(over))
        await database.close()

    asyncio.run(age())
    with RunningServer(home) as server:
        until(lambda: listed(home) == set(), "its content is removed", 20)
        rows = sa.select(sa.func.count()).select_from(files)
        until(lambda: scalar(rows) == 0, "its row is removed", 20)


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_a_server_killed_again_and_again_loses_nothing_and_leaves_nothing(home: Path) -> None:
    chance = random.Random(5)
    made: list[str] = []
    uploaded: set[str] = set()
    for _ in range(10):
        with RunningServer(home, **ONE_SLOT) as server, sdk(server) as client:
            lines = [line(f"c{i}", x_echo={"delay_ms": 10}) for i in range(25)]
            made.append(sent(client, *lines).id)
            stop_at = time.monotonic() + chance.uniform(0.2, 2.5)
            with contextlib.suppress(openai.APIError):
                while time.monotonic() < stop_at:
                    one = client.files.create(file=("a", b"x" * 100_000), purpose="evals").id
                    uploaded.add(one)
                    if chance.random() < 0.5:
                        uploaded.discard(one)
                        client.files.delete(one)
            with half_an_upload(server):
                time.sleep(chance.uniform(0, 0.05))
                killed(server)
    with RunningServer(home, **ONE_SLOT) as server, sdk(server) as client:
        for name in made:
            until(lambda name=name: client.batches.retrieve(name).status in ENDED, "it ends")  # type: ignore[misc]
            done = client.batches.retrieve(name)
            assert done.status == "completed"
            assert names(results(client, done.output_file_id)) == [f"c{i}" for i in range(25)]
        rows = {one.id: one.bytes for one in client.files.list()}
        assert uploaded <= set(rows)
        until(lambda: sizes(home) == rows, "each row has its content, and nothing else is there")


def sizes(home: Path) -> dict[str, int]:
    found = {}
    for path in (home / "files").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.stat().st_size
    return found
