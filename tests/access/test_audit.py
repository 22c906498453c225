"""What administrators do is written down before it is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.access.audit import ACTING, FILE_NAME, AuditLog, acts
from noibo.errors import LedgerError, NameTaken
from noibo.ledger.check import check
from noibo.ledger.ledger import Ledger
from noibo.wire.management import GUARD_HEADER
from tests.running import RunningServer, run_noibo

pytestmark = pytest.mark.anyio


def told(home: Path) -> list[tuple[str, str, str, str]]:
    return [(one.who, one.what, one.about, one.ended) for one in acts(home)]


async def test_an_act_is_written_down_with_who_does_it(home: Path) -> None:
    token = ACTING.set("key:abc")
    try:
        async with AuditLog(home).act("user.add", "user:an", {"role": "admin"}):
            assert told(home) == [("key:abc", "user.add", "user:an", "")]
    finally:
        ACTING.reset(token)
    (one,) = acts(home)
    assert one.details == {"role": "admin"}


async def test_a_row_that_says_nonsense_hides_no_act(home: Path) -> None:
    ledger = Ledger(home / FILE_NAME)
    ledger.add({"kind": "act", "time": None, "what": "first"})
    ledger.add({"kind": "done", "time": "noon", "of": "x"})
    assert [one.what for one in acts(home)] == ["first"]


async def test_that_it_failed_is_written_down_too(home: Path) -> None:
    with pytest.raises(NameTaken):
        async with AuditLog(home).act("user.add", "user:an"):
            raise NameTaken("There is one.")
    (one,) = acts(home)
    assert (one.ended, one.details["why"]) == ("failed", "name_taken")


async def test_what_cannot_be_written_down_is_not_done(home: Path) -> None:
    (home / "audit.jsonl").mkdir(parents=True)
    done = False
    with pytest.raises(LedgerError):
        async with AuditLog(home).act("user.add", "user:an"):
            done = True
    assert not done


def test_what_a_key_is_called_is_not_in_the_log(home: Path) -> None:
    made = run_noibo("key", "create", "laptop of Nguyễn Văn An", home=home)
    assert run_noibo("key", "revoke", "laptop of Nguyễn Văn An", home=home).returncode == 0
    about = "key:" + made.stdout.split("_")[1]
    assert [(what, whom) for _, what, whom, _ in told(home)] == [
        ("key.make", about),
        ("key.revoke", about),
    ]
    assert "Nguyễn" not in (home / FILE_NAME).read_text(encoding="utf-8")


def test_commands_and_routes_write_the_same_log(home: Path) -> None:
    done = run_noibo("key", "create", "boss", "--role", "admin", home=home)
    key = done.stdout.strip()
    with RunningServer(home) as server:
        admin = httpx2.Client(headers={"Authorization": f"Bearer {key}", GUARD_HEADER: "1"})
        with admin:
            made = admin.post(f"{server.url}/noibo/v1/keys", json={"name": "bot"}).json()
            user: dict[str, Any] = {"name": "an", "password": "a long password"}
            assert admin.post(f"{server.url}/noibo/v1/users", json=user).status_code == 201
            assert admin.delete(f"{server.url}/noibo/v1/keys/none").status_code == 404
            admin.post(f"{server.url}/noibo/v1/shutdown")
        server.process.wait(30)
    by = "key:" + key.split("_")[1]
    found = told(home)
    assert [(what, about, ended) for who, what, about, ended in found if who == by] == [
        ("key.make", f"key:{made['row']['id']}", ""),
        ("user.add", "user:an", ""),
        ("key.revoke", "none", "failed"),
        ("route", "POST /noibo/v1/shutdown", "done"),
    ]
    here = [(what, about) for who, what, about, _ in found if who.startswith("local:")]
    assert [what for what, _ in here] == ["key.make", "serve"]
    text = (home / "audit.jsonl").read_text()
    assert key.split("_")[2] not in text
    assert "a long password" not in text
    assert check(home / "audit.jsonl").sound
    said = run_noibo("privacy", "audit", "--json", home=home).stdout
    assert len(json.loads(said)) == len(found)
    assert "user:an" in run_noibo("privacy", "audit", "--lang", "vi", home=home).stdout


def test_an_act_is_known_by_its_route_and_what_it_made_by_its_name(
    home: Path, tmp_path: Path, smollm2_gguf: Path
) -> None:
    mine = tmp_path / "Kanarienvogel"
    mine.mkdir()
    os.link(smollm2_gguf, mine / "small.gguf")
    with RunningServer(home) as server:
        client = httpx2.Client(base_url=server.url, headers={GUARD_HEADER: "1"})
        with client:
            add = "/noibo/v1/models/add"
            made = client.post(add, json={"path": str(mine / "small.gguf"), "name": "kept"})
            assert made.status_code == 200
            gone = client.post(add, json={"path": str(mine / "none.gguf"), "name": "Kanarienvogel"})
            assert gone.status_code == 404
            assert client.post("/v1/models/Kanarienvogel", json={}).status_code == 405
            assert client.post("/v1/Kanarienvogel", json={}).status_code == 404
    found = [one for one in acts(home) if one.what == "route"]
    assert [(one.about, one.ended) for one in found] == [
        ("POST /noibo/v1/models/add", "done"),
        ("POST /noibo/v1/models/add", "failed"),
        ("POST /v1/models/{name:path}", "failed"),
    ]
    assert found[0].details["name"] == made.json()["name"]
    assert found[1].details.get("name") is None
    assert "Kanarienvogel" not in (home / "audit.jsonl").read_text()


@pytest.fixture
def no_log(home: Path) -> Iterator[None]:
    """A folder where the log should be."""
    (home / "audit.jsonl").mkdir(parents=True)
    yield
    (home / "audit.jsonl").rmdir()


@pytest.mark.usefixtures("no_log")
def test_no_key_is_made_that_is_not_in_the_log(home: Path) -> None:
    done = run_noibo("key", "create", "boss", home=home)
    assert (done.returncode, done.stdout) == (13, "")
    assert "no key yet" in run_noibo("key", "list", home=home).stdout
