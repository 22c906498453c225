"""The ledger keeps every call once, whatever ends in the middle."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from noibo.database.database import Database
from noibo.errors import DatabaseError
from noibo.usage.entry import UsageEntry
from noibo.usage.journal import Journal, packed, unpacked
from noibo.usage.ledger import Ledger
from noibo.usage.records import entries, entry_of
from noibo.usage.tokens import Tokens
from tests.usage.calls import call, local, opening, rows, usage

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent.parent


def ledger(database: Database, folder: Path) -> Ledger:
    return Ledger(opening(database), folder)


async def ids(database: Database) -> list[str]:
    return sorted(one.id for one in await rows(database, usage))


async def test_what_is_noted_is_kept_as_it_was(database: Database, tmp_path: Path) -> None:
    book = ledger(database, tmp_path / "usage")
    entry = local(
        asked="auto",
        route="hybrid",
        reasons=("p_local 0.83", "đơn giản"),
        tokens=Tokens(input=10, cached=4, output=7, reasoning=2),
        first_ms=80,
        label="internal",
        cost=12,
        cost_by="machine",
    )
    book.note(entry)
    await book.flush()
    (kept,) = await rows(database, usage)
    assert entry_of(kept) == entry
    await book.close()


async def test_notes_are_kept_in_their_order_and_in_groups(
    database: Database, tmp_path: Path
) -> None:
    book = ledger(database, tmp_path / "usage")
    for number in range(450):
        book.note(local(id=f"{number:05}", at=1000.0 + number))
    await book.flush()
    kept = await database.read(lambda connection: entries(connection, []))
    assert [one.id for one in kept] == [f"{number:05}" for number in range(450)]
    assert not list((tmp_path / "usage").glob("*.jsonl"))
    await book.close()
    assert [one.name for one in (tmp_path / "usage").iterdir()] == ["all.lock"]


async def test_a_note_waits_for_no_disk_and_no_database(database: Database, tmp_path: Path) -> None:
    book = ledger(database, tmp_path / "usage")
    book.note(local())  # opens the file
    with blockbuster_ctx():
        for _ in range(10):
            book.note(local())
    await book.flush()
    assert len(await ids(database)) == 11
    await book.close()


async def test_a_paid_call_is_in_the_database_when_it_is_recorded(
    database: Database, tmp_path: Path
) -> None:
    book = ledger(database, tmp_path / "usage")
    entry = call(cost=5, cost_by="prices")
    await book.record(entry)
    assert await ids(database) == [entry.id]
    await book.record(entry)
    assert await ids(database) == [entry.id]
    await book.close()


async def test_a_paid_call_outlives_a_database_that_is_away(
    database: Database, tmp_path: Path
) -> None:
    async def away() -> Database:
        raise DatabaseError("It does not answer.")

    before = Ledger(away, tmp_path / "usage")
    entry = call(cost=5)
    await before.record(entry)
    await before.close()
    after = ledger(database, tmp_path / "usage")
    await after.flush()
    assert await ids(database) == [entry.id]
    await after.close()


async def test_two_servers_of_one_home_leave_each_others_journals_alone(
    database: Database, tmp_path: Path
) -> None:
    one, two = (ledger(database, tmp_path / "usage") for _ in range(2))
    one.note(local(id="one"))
    two.note(local(id="two"))
    await two.flush()
    assert await ids(database) == ["two"]
    await one.flush()
    assert await ids(database) == ["one", "two"]
    await one.close()
    await two.close()


async def test_one_who_reads_sums_sees_what_living_servers_have_not_brought_in(
    database: Database, tmp_path: Path
) -> None:
    server, reader = (ledger(database, tmp_path / "usage") for _ in range(2))
    server.note(local(id="fresh"))
    await reader.look()
    assert await ids(database) == ["fresh"]
    await server.flush()
    assert await ids(database) == ["fresh"]
    await server.close()
    await reader.close()


@pytest.mark.parametrize("brings", ["brings", "notes"])
async def test_nothing_that_was_noted_is_lost_or_doubled_by_a_kill(
    database: Database, home: Path, tmp_path: Path, brings: str
) -> None:
    said = tmp_path / "said"
    for _ in range(2 if brings == "brings" else 1):
        running = start(said, brings)
        deadline, least = time.monotonic() + 60, len(told(said)) + 150
        while len(told(said)) < least:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
    after = ledger(database, home / "usage")
    await after.flush()
    kept = await ids(database)
    assert set(told(said)) <= set(kept)  # the last may have been noted, and not said any more
    assert len(kept) - len(told(said)) <= 2
    assert not list((home / "usage").glob("*.jsonl"))
    await after.close()


async def test_what_is_noted_while_others_are_brought_in_is_not_lost(
    database: Database, tmp_path: Path
) -> None:
    book = ledger(database, tmp_path / "usage")
    noted = []
    for turn in range(10):
        flushing = asyncio.create_task(book.flush())
        for _ in range(20 * turn):  # fewer, and more, than go into one statement
            entry = local()
            book.note(entry)
            noted.append(entry.id)
            await asyncio.sleep(0.0002)
        await flushing
    await book.flush()
    assert await ids(database) == sorted(noted)
    await book.close()


def start(said: Path, brings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.usage.noter", str(said), brings]
    return subprocess.Popen(command, cwd=ROOT)


def told(said: Path) -> list[str]:
    return said.read_text().split() if said.exists() else []


async def test_a_file_that_cannot_be_read_holds_up_no_other_call(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "usage"
    (folder / "dead-00000001.jsonl").mkdir(parents=True)
    (folder / "dead.lock").touch()
    book = Ledger(opening(database), folder, every_s=0.01)
    running = asyncio.create_task(book.run())
    try:
        for wanted in (1, 2):
            book.note(local())
            async with asyncio.timeout(20):
                while len(await ids(database)) < wanted:
                    assert not running.done()
                    await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await book.close()


async def test_what_is_older_than_it_is_kept_for_goes(database: Database, tmp_path: Path) -> None:
    now = 1_800_000_000.0
    book = Ledger(
        opening(database), tmp_path / "usage", keep_days=30, every_s=0.01, now=lambda: now
    )
    book.note(local(id="old", at=now - 31 * 86_400))
    book.note(local(id="new", at=now - 29 * 86_400))
    running = asyncio.create_task(book.run())
    for _ in range(500):
        if await ids(database) == ["new"]:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert await ids(database) == ["new"]
    await book.close()


# ── the journal ─────────────────────────────────────────────────────────────


def test_a_line_that_a_kill_cut_off_is_none() -> None:
    whole = packed(local(id="whole"))
    for length in range(len(whole)):
        assert [one.id for one in unpacked(whole + whole[:length])] == ["whole"]


def test_a_line_that_cannot_be_read_hides_no_other() -> None:
    good = packed(local(id="good"))
    assert [one.id for one in unpacked(b'{"id": 1}\n\xff\n\n' + good)] == ["good"]


@pytest.mark.parametrize("at", [1e308, -1e308, -1.0])
def test_a_line_of_no_time_hides_no_other(at: float) -> None:
    lines = packed(local(id="of no time", at=at)) + b"[" * 100_000 + b"\n"
    assert [one.id for one in unpacked(lines + packed(local(id="good")))] == ["good"]


def test_a_disk_that_takes_nothing_loses_nothing_for_now(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text("no folder")
    journal = Journal(tmp_path / "usage")
    journal.append(local(id="held"))
    assert [one.id for one in unpacked(b"".join(journal.held()))] == ["held"]
    assert journal.held() == []


async def test_what_the_disk_did_not_take_is_brought_in_from_memory(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "usage").write_text("no folder")
    book = ledger(database, tmp_path / "usage")
    book.note(local(id="held"))
    (tmp_path / "usage").unlink()
    await book.flush()
    assert await ids(database) == ["held"]
    await book.close()


@given(
    st.builds(
        UsageEntry,
        id=st.text(min_size=1),
        request=st.text(),
        at=st.floats(0, 1e10),
        owner=st.text(),
        model=st.text(st.characters(codec=None)),
        reasons=st.tuples(st.text()),
    )
)
def test_every_text_comes_back_from_a_line(entry: UsageEntry) -> None:
    (found,) = unpacked(packed(entry))
    assert found.id == entry.id
    assert found.model == entry.model.encode(errors="replace").decode()
    assert found.reasons == entry.reasons
    assert found.at == entry.at


async def test_no_text_of_a_caller_stops_the_ledger(database: Database, tmp_path: Path) -> None:
    book = ledger(database, tmp_path / "usage")
    strange = local(
        id="strange",
        model="a\0b\ud800" + "m" * 5000,
        owner="o" * 500,
        label="l" * 500,
        reasons=("\0" + "r" * 9000,) * 50,
        total_ms=2**80,
    )
    book.note(strange)
    book.note(local(id="plain"))
    book.note({**structs.asdict(strange), "id": "by its fields"})
    await book.flush()
    assert await ids(database) == ["by its fields", "plain", "strange"]
    await book.close()
