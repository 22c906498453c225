"""Keys, users and sessions in a real database, and two servers' keyrings on it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from noibo.access import keyring, password, user
from noibo.access.grant import Grant
from noibo.access.office import Office
from noibo.access.records import AccessRecords
from noibo.access.user import Session
from noibo.assembly import open_database
from noibo.database import schema
from noibo.database.database import Database
from noibo.errors import (
    DatabaseError,
    NameTaken,
    NotFound,
    TooManyAttempts,
    Unauthorized,
    UsageError,
)
from noibo.settings import load

pytestmark = pytest.mark.anyio

WORD = "a long password"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guess costs is for `test_password`."""
    monkeypatch.setattr(password, "_COST", (2**4, 8, 1))
    monkeypatch.setattr(password, "_NOBODY", password.hashed("nobody's password"))


@pytest.fixture
async def database(database: Database) -> AsyncIterator[Database]:
    """Each kind of database, and nobody known to it."""
    yield database
    await database.write(_forget)


def _forget(connection: Connection) -> None:
    for table in (schema.sessions, schema.api_keys, schema.users):
        connection.execute(table.delete())


def office_on(database: Database) -> Office:
    records = AccessRecords(database)

    async def opened() -> AccessRecords:
        return records

    return Office(opened)


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    made = office_on(database)
    yield made
    await made.ring.close()


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Office]:
    """The same as of another server on this database."""
    made = office_on(database)
    yield made
    await made.ring.close()


async def refused(work: Awaitable[object], words: str = "") -> bool:
    try:
        await work
    except Unauthorized as error:
        return words in error.message
    return False


async def soon(true: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + 30
    while not await true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


# ── keys ────────────────────────────────────────────────────────────────────


async def test_a_key_is_kept_with_its_grant_and_without_its_secret(
    database: Database, office: Office
) -> None:
    grant = Grant("developer", ("qwen*",), ("ask", "/metrics"))
    made = await office.make_key("laptop", grant, lasts_s=60)
    found, may = await office.ring.key(made.key)
    assert (found.id, found.name, may) == (made.row.id, "laptop", grant)
    assert found.expires_at == pytest.approx(time.time() + 60, abs=30)
    secret = made.key.rpartition("_")[2]
    said = await database.read(
        lambda connection: str(list(connection.execute(schema.api_keys.select())))
    )
    assert secret not in said
    assert [row.state for row in await office.keys()] == ["holds"]


async def test_another_server_knows_a_new_key_and_forgets_a_revoked_one(
    office: Office, other: Office
) -> None:
    assert await other.keys() == []  # it knows that there is none
    made = await office.make_key("laptop", Grant("user"))

    async def known() -> bool:
        return not await refused(other.ring.key(made.key))

    await soon(known, "the other server knows the key")
    await office.revoke_key("laptop")
    assert await refused(office.ring.key(made.key), "has been revoked")  # at once

    async def forgotten() -> bool:
        return not await known()

    await soon(forgotten, "the other server refuses the key")


async def test_a_key_ends(office: Office) -> None:
    made = await office.make_key("short", Grant("user"), lasts_s=0.2)

    async def ended() -> bool:
        return await refused(office.ring.key(made.key), "has expired")

    await soon(ended, "the key has expired")
    assert (await office.keys())[0].state == "expired"
    assert not await office.somebody_may_come()


async def test_a_secret_of_another_key_opens_nothing(office: Office) -> None:
    first = await office.make_key("first", Grant("user"))
    second = await office.make_key("second", Grant("admin"))
    mixed = "_".join(second.key.split("_")[:2] + first.key.split("_")[2:])
    assert await refused(office.ring.key(mixed), "no such key")
    assert await refused(office.ring.key(first.key[:-1]), "not whole")


async def test_a_name_is_taken_until_its_key_is_revoked(office: Office) -> None:
    first = await office.make_key("laptop", Grant("user"))
    with pytest.raises(NameTaken):
        await office.make_key(" laptop ", Grant("user"))
    await office.revoke_key(first.row.id)
    await office.make_key("laptop", Grant("user"))
    with pytest.raises(NotFound):
        await office.revoke_key(first.row.id)  # it was


async def test_a_key_named_as_anothers_id_is_not_revoked_in_its_place(office: Office) -> None:
    first = await office.make_key("first", Grant("user"))
    named_so = await office.make_key(first.row.id, Grant("user"))
    assert (await office.revoke_key(first.row.id)).id == first.row.id
    assert (await office.revoke_key(first.row.id)).id == named_so.row.id


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "a\u202eb", "x" * 81, "\ud800"])
async def test_what_cannot_be_a_keys_name(office: Office, name: str) -> None:
    with pytest.raises(UsageError):
        await office.make_key(name, Grant("user"))


async def test_a_name_of_80_letters_of_any_language(office: Office) -> None:
    made = await office.make_key("máy của Ân " + "x" * 69, Grant("user"))
    assert len(made.row.name) == 80


@pytest.mark.parametrize("lasts_s", [0.0, -1.0, float("nan"), float("inf"), 1e11])
async def test_a_key_lasts_for_some_time(office: Office, lasts_s: float) -> None:
    with pytest.raises(UsageError):
        await office.make_key("laptop", Grant("user"), lasts_s=lasts_s)


# ── users ───────────────────────────────────────────────────────────────────


async def test_a_key_never_may_more_than_its_user(office: Office, other: Office) -> None:
    await office.add_user("an", "admin", WORD)
    made = await office.make_key("an-1", Grant("admin"), user="an")
    small = await office.make_key("an-2", Grant("user", ("q*",)), user="an")
    assert (await office.ring.key(made.key))[1] == Grant("admin")
    await office.change_user("an", role="developer")
    assert (await office.ring.key(made.key))[1] == Grant("developer")
    assert (await office.ring.key(small.key))[1] == Grant("user", ("q*",))
    assert (await office.ring.grant_of(f"key:{made.row.id}")) == Grant("developer")
    assert (await office.ring.grant_of("user:an")) == Grant("developer")

    async def lowered() -> bool:
        return (await other.ring.key(made.key))[1] == Grant("developer")

    await soon(lowered, "the other server knows it too")
    await office.change_user("an", role="admin")
    assert (await office.ring.key(made.key))[1] == Grant("admin")


async def test_with_a_user_their_keys_and_sessions_go(office: Office) -> None:
    await office.add_user("an", "user", WORD)
    made = await office.make_key("an-1", Grant("user"), user="an")
    token = await office.sign_in("an", WORD, "10.0.0.1")
    await office.remove_user("an")
    assert await refused(office.ring.key(made.key))
    assert await office.ring.session(token) is None
    assert await refused(office.ring.grant_of("user:an"))
    assert await refused(office.ring.grant_of(f"key:{made.row.id}"))
    await office.add_user("an", "user", WORD)  # somebody else by the same name
    assert await refused(office.ring.key(made.key))
    assert await office.ring.session(token) is None


async def test_a_key_whose_user_is_not_there_holds_no_more(
    database: Database, office: Office
) -> None:
    await office.add_user("an", "user", WORD)
    made = await office.make_key("an-1", Grant("admin"), user="an")
    await database.write(lambda connection: _run(connection, schema.users.delete()))
    await office.ring.read_again()
    assert await refused(office.ring.key(made.key), "nobody's")


def _run(connection: Connection, statement: object) -> None:
    connection.execute(statement)  # type: ignore[call-overload]


async def test_a_key_is_for_a_user_who_is_there(office: Office) -> None:
    with pytest.raises(NotFound, match="no user 'nobody'"):
        await office.make_key("laptop", Grant("user"), user="nobody")
    assert await office.keys() == []
    for work in (office.change_user("nobody", role="user"), office.remove_user("nobody")):
        with pytest.raises(NotFound):
            await work


async def test_there_is_one_user_of_a_name(office: Office) -> None:
    await office.add_user("an", "user", WORD)
    with pytest.raises(NameTaken):
        await office.add_user("an", "admin", WORD)
    assert [(row.name, row.role) for row in await office.users()] == [("an", "user")]


# ── sessions ────────────────────────────────────────────────────────────────


async def test_a_session_lives_until_it_ends(office: Office, other: Office) -> None:
    await office.add_user("an", "user", WORD)
    token = await office.sign_in("an", WORD, "10.0.0.1")
    found = await office.ring.session(token)
    assert found is not None
    assert found.user == "an"
    assert await office.ring.session(token + "x") is None

    async def known() -> bool:
        return await other.ring.session(token) is not None

    await soon(known, "the other server knows the session")
    await office.sign_out(token)
    assert await office.ring.session(token) is None

    async def forgotten() -> bool:
        return not await known()

    await soon(forgotten, "the other server has forgotten it")


@pytest.mark.parametrize("change", [{"word": "another password"}, {"role": "developer"}])
async def test_all_sessions_end_with_another_password_or_role(
    office: Office, change: dict[str, str]
) -> None:
    await office.add_user("an", "user", WORD)
    tokens = [await office.sign_in("an", WORD, f"10.0.0.{n}") for n in range(2)]
    await office.change_user("an", **change)  # type: ignore[arg-type]
    assert [await office.ring.session(token) for token in tokens] == [None, None]


async def test_a_password_that_was_changed_meanwhile_begins_no_session(
    database: Database, office: Office
) -> None:
    await office.add_user("an", "user", WORD)
    old = await office.ring.user("an")
    assert old is not None
    await office.change_user("an", word="another password")
    session = Session(b"x" * 32, "an", time.time(), time.time())
    assert not await AccessRecords(database).add_session(session, old.password)
    assert (await AccessRecords(database).everything()).sessions == ()


async def test_an_old_session_is_not_read_and_is_forgotten(
    database: Database, office: Office
) -> None:
    await office.add_user("an", "user", WORD)
    records, now = AccessRecords(database), time.time()
    an = await office.ring.user("an")
    assert an is not None
    idle = Session(b"i" * 32, "an", now - user.IDLE_S - 1, now - user.IDLE_S - 1)
    old = Session(b"o" * 32, "an", now - user.LONGEST_S - 1, now)
    used = Session(b"u" * 32, "an", now - user.IDLE_S - 1, now - 10)
    for one in (idle, old, used):
        assert await records.add_session(one, an.password)
    assert {one.digest for one in (await records.everything()).sessions} == {used.digest}
    await office.sign_in("an", WORD, "")
    kept = await database.read(
        lambda connection: {row.digest for row in connection.execute(schema.sessions.select())}
    )
    assert used.digest in kept
    assert kept.isdisjoint({idle.digest, old.digest})


async def test_use_of_a_session_is_written_down_now_and_then(
    database: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.add_user("an", "user", WORD)
    token = await office.sign_in("an", WORD, "")
    began = (await AccessRecords(database).everything()).sessions[0].seen_at
    await office.ring.session(token)
    assert (await AccessRecords(database).everything()).sessions[0].seen_at == began
    monkeypatch.setattr(keyring, "SEEN_EVERY_S", -1.0)
    await office.ring.session(token)
    assert (await AccessRecords(database).everything()).sessions[0].seen_at > began


async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(office: Office) -> None:
    await office.add_user("an", "user", WORD)
    said = []
    for name, word in (("an", "a wrong password"), ("nobody", WORD), ("an", "")):
        with pytest.raises(Unauthorized) as caught:
            await office.sign_in(name, word, "10.0.0.1")
        said.append((caught.value.message, caught.value.next_step, caught.value.status))
    assert len(set(said)) == 1


async def test_after_five_failures_the_right_password_waits_too(office: Office) -> None:
    await office.add_user("an", "user", WORD)
    for _ in range(5):
        assert await refused(office.sign_in("an", "wrong", "10.0.0.1"))
    with pytest.raises(TooManyAttempts):
        await office.sign_in("an", WORD, "10.0.0.1")
    assert await office.sign_in("an", WORD, "10.0.0.2")


async def test_few_guess_at_one_moment(office: Office) -> None:
    await office.add_user("an", "user", WORD)
    work = [office.sign_in(f"user{n}", "wrong", f"10.0.0.{n}") for n in range(40)]
    found = [type(one) for one in await asyncio.gather(*work, return_exceptions=True)]
    assert set(found) == {Unauthorized, TooManyAttempts}
    assert found.count(Unauthorized) == 20


# ── the database ────────────────────────────────────────────────────────────


async def test_nobody_is_let_in_by_what_was_true_long_ago(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(load())
    office = office_on(database)
    made = await office.make_key("laptop", Grant("user"))
    await office.ring.key(made.key)
    await office.ring.close()
    with sqlite3.connect(home / "noibo.db") as broken:
        broken.execute("DROP TABLE access_version")
    await office.ring.key(made.key)  # what was true a moment ago
    monkeypatch.setattr(keyring, "BLIND_S", 0.0)
    with pytest.raises(DatabaseError, match="cannot be checked who is asking"):
        await office.ring.key(made.key)
    await database.close()


async def test_all_that_is_changed_at_once_is_kept(office: Office, other: Office) -> None:
    work = [
        (office if number % 2 else other).make_key(f"key {number % 10}", Grant("user"))
        for number in range(20)
    ]
    found = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(one, NameTaken) for one in found) == 10
    assert len(await office.keys()) == 10
