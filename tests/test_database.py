"""The database: one schema on SQLite and on PostgreSQL, errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import openai
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from noibo.assembly import open_database
from noibo.database import migrations, schema
from noibo.database.address import Address
from noibo.database.database import Database
from noibo.errors import DatabaseError, DiskFull, EgressRefused, SettingsError
from noibo.settings import load
from tests.elsewhere_address import OUTER, needs_network
from tests.running import RunningServer, clean_environment

pytestmark = pytest.mark.anyio


async def test_work_is_not_done_on_the_event_loop_of_who_waits_for_it(database: Database) -> None:
    for call in (database.read, database.write):
        assert await call(lambda connection: threading.get_ident()) != threading.get_ident()


def row(name: str, owner: str = "local") -> dict[str, object]:
    return {
        "id": name,
        "owner": owner,
        "created_at": time.time(),
        "status": "completed",
        "seen_at": 0.0,
        "body": "{}",
    }


def insert(name: str) -> object:
    return schema.responses.insert().values(**row(name))


def names(connection: Connection) -> list[str]:
    return [found.id for found in connection.execute(sa.select(schema.responses.c.id))]


# ── what holds on both ──────────────────────────────────────────────────────


async def test_the_steps_lead_to_the_schema(database: Database) -> None:
    def difference(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, schema.metadata)
        return [one for one in found if "noibo_schema" not in str(one)]

    assert await database.read(difference) == []


async def test_the_steps_are_taken_once(database: Database) -> None:
    await database.write(migrations.migrate)
    await database.write(migrations.migrate)
    assert await database.read(migrations.is_current)


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(insert("half"))  # type: ignore[call-overload]
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert "half" not in await database.read(names)


async def test_a_caller_that_leaves_does_not_undo_a_write(database: Database) -> None:
    def slow(connection: Connection) -> None:
        connection.execute(insert("whole"))  # type: ignore[call-overload]
        time.sleep(0.2)

    writing = asyncio.create_task(database.write(slow))
    await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.wait({writing})
    for _ in range(100):
        if "whole" in await database.read(names):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the write was undone")


async def test_one_of_two_servers_holds_a_name_until_it_lets_go(database: Database) -> None:
    other = open_database(load())
    try:
        first = await database.hold("batches")
        assert first is not None
        assert await other.hold("batches") is None
        assert await first.lasts()
        await first.release()
        second = await other.hold("batches")
        assert second is not None
        await second.release()
    finally:
        await other.close()


async def test_one_of_a_newer_noibo_is_not_touched(database: Database) -> None:
    def newer(connection: Connection) -> None:
        connection.execute(sa.text("UPDATE noibo_schema SET version = version + 1"))

    def older(connection: Connection) -> None:
        connection.execute(sa.text("UPDATE noibo_schema SET version = version - 1"))

    await database.write(newer)
    other = open_database(load())
    try:
        with pytest.raises(DatabaseError, match=r"newer noibo.*pip install -U noibo"):
            await other.read(names)
    finally:
        await other.close()
        await database.write(older)


async def test_questions_do_not_hold_the_event_loop(database: Database) -> None:
    await database.read(names)
    longest, ended = 0.0, False

    async def tick() -> None:
        nonlocal longest
        while not ended:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    if database_is_sqlite(database):
        await database.read(lambda connection: time.sleep(1.0))
    else:
        await database.read(lambda connection: connection.execute(sa.text("SELECT pg_sleep(1)")))
    ended = True
    await ticking
    assert longest < 0.8


def database_is_sqlite(database: Database) -> bool:
    return type(database._backend).__name__ == "SqliteFile"


# ── SQLite ──────────────────────────────────────────────────────────────────


def modes(home: Path) -> list[int]:
    return [path.stat().st_mode for path in home.glob("noibo.db*")]


async def test_the_file_is_for_its_owner_alone_and_writes_ahead(home: Path) -> None:
    database = open_database(load())
    await database.write(lambda connection: connection.execute(insert("one")))  # type: ignore[call-overload]
    assert {stat.S_IMODE(mode) for mode in modes(home)} == {0o600}
    mode = await database.read(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar())
    await database.close()
    assert mode == "wal"


async def test_a_damaged_file_is_said_with_what_to_do(home: Path) -> None:
    file = home / "noibo.db"
    file.parent.mkdir()
    file.write_bytes(b"no database at all, " * 500)
    database = open_database(load())
    with pytest.raises(DatabaseError, match=r"noibo\.db is no database.*Move it away"):
        await database.read(names)
    file.unlink()
    assert await database.read(names) == []  # the error was not remembered
    await database.close()


async def test_pages_that_are_damaged_are_said(home: Path) -> None:
    database = open_database(load())

    def fill(connection: Connection) -> None:
        for i in range(400):
            connection.execute(insert(f"resp_{i}"))  # type: ignore[call-overload]

    await database.write(fill)
    await database.close()
    path = home / "noibo.db"
    healthy = path.read_bytes()
    path.write_bytes(healthy[:4096] + b"\xff" * (len(healthy) - 4096))
    with pytest.raises(DatabaseError, match="damaged"):
        await database_again().read(names)


def database_again() -> Database:
    return open_database(load())


async def test_a_file_that_cannot_be_opened_is_said(home: Path) -> None:
    (home / "noibo.db").mkdir(parents=True)
    database = open_database(load())
    with pytest.raises(DatabaseError, match="permissions"):
        await database.write(names)
    await database.close()


async def test_a_full_disk_is_said_and_what_was_stored_stays(home: Path) -> None:
    database = open_database(load())
    await database.write(lambda connection: connection.execute(insert("kept")))  # type: ignore[call-overload]
    # SQLite's own word for a full disk, without filling one.
    await database.read(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 30").scalar())

    def too_much(connection: Connection) -> None:
        big = row("lost") | {"body": "x" * 1_000_000}
        connection.execute(schema.responses.insert().values(**big))

    with pytest.raises(DiskFull, match="what was stored before is untouched"):
        await database.write(too_much)
    assert await database.read(names) == ["kept"]
    await database.close()


async def test_a_file_that_another_program_holds_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noibo.database import sqlite

    monkeypatch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, "busy_timeout = 50"))
    database = open_database(load())
    await database.read(names)
    holder = sqlite3.connect(home / "noibo.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="held by another program") as caught:
            await database.write(names)
        assert caught.value.retry_after_s
    finally:
        holder.close()
        await database.close()


@pytest.mark.heavy
def test_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from noibo.assembly import open_database\n"
        "from noibo.database import schema\n"
        "from noibo.settings import load\n"
        "async def main():\n"
        "    database = open_database(load())\n"
        "    for i in range(40):\n"
        "        row = dict(id=f'{sys.argv[1]}-{i}', owner='o', created_at=0.0, status='s',"
        " seen_at=0.0, body='{}')\n"
        "        add = schema.responses.insert().values(**row)\n"
        "        await database.write(lambda c: c.execute(add))\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    environment = clean_environment(home)
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(i)], env=environment) for i in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with contextlib.closing(sqlite3.connect(home / "noibo.db")) as found:
        assert found.execute("SELECT count(*) FROM responses").fetchone() == (120,)
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# ── addresses ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/n",
        "noibo.db",
        "sqlite://",
        "sqlite+pysqlcipher:///x",
        "postgresql+psycopg://u:secret@h/n",
        "postgresql://h:port/n",
        "postgresql://u:secret@h/n?colour=blue",
        "postgresql://u:secret@localhost/n?host=db.example",  # the driver would go there
        "postgresql://u:secret@localhost/n?port=1",
        "postgresql:///n",  # where the environment says
        "postgresql:///n?host=db.example",
    ],
)
def test_an_address_that_cannot_be_used_is_said_without_its_password(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"database\.url") as caught:
        Address.read(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_addresses_are_read(tmp_path: Path) -> None:
    assert Address.read("", tmp_path).path == tmp_path / "noibo.db"
    assert Address.read("sqlite:////var/x.db", tmp_path).path == Path("/var/x.db")
    assert Address.read("sqlite:///x.db", tmp_path).path == tmp_path / "x.db"
    away = Address.read("postgres://u:secret@db.example/noibo", tmp_path)
    assert away.url.startswith("postgresql+asyncpg://")
    assert (away.host, away.port, away.leaves_the_machine) == ("db.example", 5432, True)
    assert "secret" not in away.shown
    hosted = Address.read("postgresql://u@db.example/n?sslmode=require", tmp_path)
    assert hosted.url.endswith("/n?ssl=require")
    for here in ("127.0.0.1", "localhost", "[::1]"):
        assert not Address.read(f"postgresql://{here}/n", tmp_path).leaves_the_machine
    beside = Address.read("postgresql:///n?host=/run/pg", tmp_path)
    assert beside.url == "postgresql+asyncpg:///n?host=%2Frun%2Fpg"
    assert (beside.shown, beside.leaves_the_machine) == ("postgresql+asyncpg:///n", False)


@needs_network
async def test_a_database_elsewhere_goes_through_the_door(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", f"postgresql://noibo@{OUTER}:9/noibo")
    monkeypatch.setenv("NOIBO_OFFLINE", "1")
    with pytest.raises(EgressRefused):
        await open_database(load()).read(names)
    monkeypatch.setenv("NOIBO_OFFLINE", "0")
    database = open_database(load())
    with pytest.raises((DatabaseError, TimeoutError)):
        await asyncio.wait_for(database.read(names), 0.5)
    assert f'"destination": "postgresql://{OUTER}:9"' in (home / "egress.jsonl").read_text()


async def test_a_server_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", "postgresql://noibo:secret@127.0.0.1:1/noibo")
    database = open_database(load())
    with pytest.raises(DatabaseError, match="does not answer") as caught:
        await database.read(names)
    assert "secret" not in str(caught.value)


@pytest.mark.heavy
async def test_a_database_that_does_not_let_us_in_is_said(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql.replace("/postgres", "/nowhere"))
    with pytest.raises(DatabaseError, match="does not let noibo in"):
        await open_database(load()).read(names)


@pytest.mark.heavy
async def test_a_server_that_stops_in_the_middle_is_said_and_found_again(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql)
    database = open_database(load())
    end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseError, match="does not answer") as caught:
        await database.read(lambda connection: connection.execute(end))
    assert caught.value.retry_after_s
    assert isinstance(await database.read(names), list)
    await database.close()


@pytest.mark.heavy
async def test_a_user_who_may_make_no_tables_is_told_so(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql)
    database = open_database(load())

    def restrict(connection: Connection) -> None:
        connection.execute(sa.text("CREATE ROLE guest LOGIN"))
        connection.execute(sa.text("CREATE SCHEMA closed"))
        connection.execute(sa.text("GRANT USAGE ON SCHEMA closed TO guest"))
        connection.execute(sa.text("ALTER ROLE guest SET search_path = closed"))

    await database.write(restrict)
    await database.close()
    monkeypatch.setenv("NOIBO_DATABASE_URL", postgresql.replace("noibo@", "guest@"))
    with pytest.raises(DatabaseError, match="GRANT ALL ON SCHEMA"):
        await open_database(load()).read(names)


# ── in a server ─────────────────────────────────────────────────────────────


def test_commands_and_the_start_of_a_server_import_no_database() -> None:
    code = (
        "import sys, noibo.cli.main, noibo.serving\n"
        "sys.exit(any(m in sys.modules for m in ('sqlalchemy', 'alembic', 'asyncpg')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_server_whose_database_is_broken_still_chats(home: Path) -> None:
    home.mkdir()
    (home / "noibo.db").write_bytes(os.urandom(8192))
    ask = [{"role": "user", "content": "hello there"}]
    with (
        RunningServer(home) as server,
        openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client,
    ):
        answer = client.chat.completions.create(model="echo", messages=ask)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "hello there"
        kept_not = client.responses.create(model="echo", input="hello", store=False)
        assert kept_not.output_text == "hello"
        for call in (
            lambda: client.responses.create(model="echo", input="hello"),
            client.files.list,
            client.batches.list,
            lambda: client.files.create(file=("a", b"b"), purpose="user_data"),
        ):
            with pytest.raises(openai.InternalServerError) as caught:
                call()
            assert caught.value.status_code == 503
            assert caught.value.code == "database_error"
            assert "Move it away" in str(caught.value)
