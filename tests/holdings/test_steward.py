"""Finding and erasing are the same on both kinds of database."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.access import api_key
from noibo.database import schema
from noibo.database.database import Database
from noibo.errors import NameTaken
from noibo.gateway.files.contents import Contents
from noibo.holdings import steward as steward_module
from noibo.holdings.gathering import of_hits, of_user
from noibo.holdings.resealing import reseal_rows
from noibo.holdings.steward import Steward
from noibo.holdings.wanted import ERASED, Wanted

pytestmark = pytest.mark.anyio

NAME = "Phạm Thị Đào"


def fill(connection: Connection) -> None:
    """Rows of two users; some hundreds, so that they are read page by page."""
    for table in reversed(schema.metadata.sorted_tables):
        if table is not schema.access_version:
            connection.execute(table.delete())
    response = {"status": "completed", "seen_at": 1.0, "created_at": 1.0, "body": "{}"}
    rows = [
        {"id": f"resp_{number:04}", "owner": "an" if number % 2 else "binh", **response}
        for number in range(1200)
    ]
    connection.execute(schema.responses.insert(), rows)
    said = f'{{"type": "message", "content": "gửi {NAME}"}}'
    items = [
        {"response_id": row["id"], "place": 0, "id": f"msg_{row['id']}", "owner": row["owner"],
         "is_output": False, "body": said if row["id"] in {"resp_0001", "resp_1198"} else "{}"}
        for row in rows
    ]  # fmt: skip
    connection.execute(schema.response_items.insert(), items)
    batch = {
        "id": "batch_1", "owner": "an", "created_at": 1.0, "expires_at": 2.0, "total": 1,
        "status": "completed", "input_file_id": "file-1", "completed": 1, "failed": 0,
        "body": f'{{"metadata": {{"who": "{NAME}"}}}}',
    }  # fmt: skip
    connection.execute(schema.batches.insert().values(batch))
    result = {"batch_id": "batch_1", "line": 1, "ok": True, "body": f'{{"x": "{NAME}"}}'}
    connection.execute(schema.batch_results.insert().values(result))
    user = {"name": "an", "role": "user", "password": "x", "created_at": 1.0}
    connection.execute(schema.users.insert().values(user))
    minted = api_key.mint()
    key = {"id": minted.id, "name": "an's", "owner": "an", "role": "user", "models": "[]",
           "routes": "[]", "digest": minted.digest, "created_at": 1.0}  # fmt: skip
    connection.execute(schema.api_keys.insert().values(key))


@pytest.fixture
async def steward(database: Database, home: Path) -> Steward:
    await database.write(fill)
    return Steward(database, Contents(home / "files"), home)


async def test_somebody_is_found_on_every_page_and_erased(steward: Steward) -> None:
    wanted = Wanted.of([NAME])
    found = await steward.find(wanted)
    assert {(hit.kind, hit.key[0], hit.owner) for hit in found.hits} == {
        ("response_item", "resp_0001", "an"),
        ("response_item", "resp_1198", "binh"),
        ("batch", "batch_1", "an"),
        ("batch_result", "batch_1", "an"),
    }
    erased = await steward.erase_text(wanted, found)
    assert erased.counts == {"response_item": 2, "batch": 1, "batch_result": 1}
    assert erased.scrubbed
    assert (await steward.find(wanted)).hits == []
    assert len((await steward.find(Wanted.of([ERASED]))).hits) == 4


async def test_a_user_goes_and_the_other_stays(steward: Steward, database: Database) -> None:
    counts = await steward.count_of("an")
    assert counts == {
        "responses": 600, "response_items": 600, "batches": 1, "api_keys": 1, "users": 1
    }  # fmt: skip
    erased = await steward.erase_user("an")
    assert erased.counts == {
        "response": 600, "response_item": 600, "batch": 1, "batch_result": 1, "key": 1, "user": 1,
    }  # fmt: skip
    assert await steward.count_of("an") == {}
    assert (await steward.count_of("binh"))["responses"] == 600


async def test_who_accounts_are_called_after_is_found(steward: Steward, database: Database) -> None:
    wanted = Wanted.of([NAME, "dao.pham"])

    def rename(connection: Connection) -> None:
        connection.execute(schema.api_keys.update().values(name=f"laptop of {NAME}"))
        connection.execute(schema.users.update().values(name="dao.pham"))

    await database.write(rename)
    found = await steward.find(wanted)
    accounts = [(hit.kind, hit.excerpt) for hit in found.hits if hit.kind in {"key", "user"}]
    assert accounts == [("key", f"laptop of {NAME}"), ("user", "dao.pham")]
    exported = await database.read(lambda connection: of_hits(connection, found))
    assert exported["user"] == [{"name": "dao.pham", "role": "user", "created_at": 1.0}]
    assert "digest" not in exported["key"][0]
    erased = await steward.erase_text(wanted, found)
    assert erased.counts["key"] == 1
    assert erased.users == ["dao.pham"], "it is said that the user stays"
    assert [hit.kind for hit in (await steward.find(wanted)).hits] == ["user"]


async def test_what_somebody_spent_is_handed_out(steward: Steward, database: Database) -> None:
    def spend(connection: Connection) -> str:
        key = str(connection.execute(sa.select(schema.api_keys.c.id)).scalar())
        rows = [{"scope": scope, "period": "2026-11", "spent": 5, "reserved": 0}
                for scope in ("user:an", "user:binh", f"key:{key}", "all")]  # fmt: skip
        connection.execute(schema.budget_spending.insert(), rows)
        return key

    key = await database.write(spend)
    found = await database.read(lambda connection: of_user(connection, "an"))
    assert {row["scope"] for row in found["budget"]} == {"user:an", f"key:{key}"}
    await steward.erase_user("an")
    found = await database.read(lambda connection: of_user(connection, "an"))
    assert found == {}


async def test_what_is_reserved_for_somebody_is_nobodys_then(
    steward: Steward, database: Database
) -> None:
    def reserve(connection: Connection) -> None:
        for who in ("an", "binh"):
            entry = {"id": who, "owner": who, "key": f"user:{who}", "model": "far"}
            claims = [["all", "hour"], [f"user:{who}", "2026-11"]]
            connection.execute(
                schema.budget_reservations.insert().values(
                    id=who, holder="h", at=1.0, state="expired", amount=5,
                    claims=json.dumps(claims), entry=json.dumps(entry),
                )
            )  # fmt: skip

    await database.write(reserve)
    erased = await steward.erase_user("an")
    assert erased.counts["reservation"] == 1
    table = schema.budget_reservations
    rows = await database.read(lambda connection: connection.execute(table.select()).all())
    kept = {row.id: (json.loads(row.entry), json.loads(row.claims)) for row in rows}
    entry, claims = kept["an"]
    assert entry["owner"] == entry["key"] and entry["owner"].startswith("erased:")
    assert (entry["model"], claims) == ("far", [["all", "hour"]])
    assert kept["binh"][0]["owner"] == "binh"
    assert len(kept["binh"][1]) == 2


@pytest.mark.parametrize("brought_in", [True, False], ids=["a server", "nobody"])
async def test_calls_on_their_way_are_waited_for(
    steward: Steward, home: Path, monkeypatch: pytest.MonkeyPatch, brought_in: bool
) -> None:
    journal = home / "usage" / "one.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"owner":"anh"}\n{"owner":"an","key":"user:an"}\nhalf of {"own')
    monkeypatch.setattr(steward_module, "_LOOK_S", 0.02)
    erasing = asyncio.create_task(steward.erase_user("an"))
    await asyncio.sleep(0.05)
    if brought_in:
        journal.write_text('{"owner":"anh"}\n')
    assert (await erasing).waiting is not brought_in


async def test_a_name_that_begins_the_same_is_another(steward: Steward, database: Database) -> None:
    def rename(connection: Connection) -> None:
        table = schema.responses
        mine = table.update().where(table.c.id == "resp_0000")
        connection.execute(mine.values(owner=f"an until {time.time():.6f}"))
        connection.execute(table.update().where(table.c.id == "resp_0002").values(owner="anh"))
        connection.execute(
            table.update().where(table.c.id == "resp_0004").values(owner="a_ until 1")
        )

    await database.write(rename)
    assert (await steward.count_of("an"))["responses"] == 601
    assert (await steward.count_of("a_"))["responses"] == 1
    assert (await steward.count_of("a%")) == {}


async def test_nobody_goes_while_a_batch_of_theirs_runs(
    steward: Steward, database: Database
) -> None:
    running = schema.batches.update().values(status="in_progress")
    await database.write(lambda connection: connection.execute(running))
    with pytest.raises(NameTaken, match="batch_1"):
        await steward.erase_user("an")
    assert (await steward.count_of("an"))["responses"] == 600


async def test_all_rows_are_written_again(steward: Steward, database: Database) -> None:
    counts: dict[str, int] = {}
    await reseal_rows(database, counts.__setitem__)
    assert counts == {
        "response": 1200, "response_item": 1200, "file": 0, "batch": 1, "batch_result": 1
    }  # fmt: skip
    assert len((await steward.find(Wanted.of([NAME]))).hits) == 4
