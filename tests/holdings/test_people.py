"""What is kept of somebody is found, handed out and erased, by the commands, in a real home."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from noibo.access.audit import acts
from noibo.ledger.check import check
from tests.running import RunningServer, run_noibo

NAME = "Trần Thị Bưởi"
PHONE = "0912 345 678"
OTHER = "Lê Văn Cam"


def sdk(server: RunningServer, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def file_of(client: openai.OpenAI, name: str, data: bytes) -> str:
    return client.files.create(file=(name, io.BytesIO(data)), purpose="user_data").id


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A home in which two users stored something; the server has stopped."""
    home = tmp_path_factory.mktemp("stored") / "home"
    keys = {}
    for user in ("an", "binh"):
        run_noibo("user", "add", user, home=home, stdin="a long password\n")
        done = run_noibo("key", "create", f"{user}-key", "--user", user, home=home)
        keys[user] = done.stdout.strip()
    ids: dict[str, Any] = {}
    with (
        RunningServer(home) as server,
        sdk(server, keys["an"]) as an,
        sdk(server, keys["binh"]) as binh,
    ):
        about = an.responses.create(model="echo", input=f"Gọi cho {NAME}, số +84912345678")
        ids["of an"] = about.id
        ids["another"] = an.responses.create(model="echo", input=f"Gọi cho {OTHER}").id
        ids["background"] = binh.responses.create(
            model="echo", input=f"Viết thư cho {NAME.upper()}", background=True, stream=False
        ).id
        while binh.responses.retrieve(ids["background"]).status in {"queued", "in_progress"}:
            pass
        ids["text"] = file_of(binh, "list.txt", f"Danh sách: {NAME}\n".encode())
        ids["lines"] = file_of(binh, "rows.jsonl", (json.dumps({"who": NAME}) + "\n").encode())
        ids["named"] = file_of(binh, f"{NAME}.txt", b"nothing")
        ids["bytes"] = file_of(binh, "scan.bin", b"\x00\xff" * 50)
    (home / "conversations").mkdir()
    talk = {"model": "m", "system": "", "turns": [{"role": "user", "content": f"Hỏi {NAME}"}]}
    (home / "conversations" / "talk.json").write_text(json.dumps(talk))
    (home / "history").write_text(f"\n# today\n+gửi {NAME}\n+gửi {OTHER}\n")
    yield {"home": home, "ids": ids, "keys": keys}


@pytest.fixture
def home(stored: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    import shutil

    monkeypatch.setenv("NOIBO_HOME", str(tmp_path / "home"))
    shutil.copytree(stored["home"], tmp_path / "home")
    return tmp_path / "home"


def bytes_of(home: Path) -> bytes:
    """All that is on the disk below a home, but the copies in test logs."""
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def found_in(home: Path, *options: str) -> dict[str, Any]:
    done = run_noibo("privacy", "find-person", "--json", *options, home=home)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_somebody_is_found_wherever_they_are_named(home: Path, stored: dict[str, Any]) -> None:
    ids = stored["ids"]
    found = found_in(home, "--text", NAME, "--text", PHONE)
    hits = {(hit["kind"], hit["key"][0], hit["owner"]) for hit in found["hits"]}
    assert {kind for kind, _, _ in hits} == {
        *("response", "response_item", "file", "content", "on_disk"),
    }
    assert ("response_item", ids["of an"], "an") in hits
    assert ("response", ids["background"], "binh") in hits, "in its stream"
    assert {("content", ids["text"], "binh"), ("content", ids["lines"], "binh")} <= hits
    assert ("file", ids["named"], "binh") in hits
    assert ("on_disk", "conversations/talk.json", "local") in hits
    assert ("on_disk", "history", "local") in hits
    assert ids["another"] not in {key for _, key, _ in hits}
    assert found["unsearched"] == [ids["bytes"]]


def test_the_audit_log_says_that_somebody_was_handed_out_and_not_who(
    home: Path, tmp_path: Path
) -> None:
    run_noibo("privacy", "export-person", str(tmp_path / "an.zip"), "--text", NAME, home=home)
    (act,) = [one for one in acts(home) if one.what == "person.export"]
    assert act.ended == "done"
    assert NAME not in act.about


def test_nothing_is_erased_without_being_told_to(home: Path) -> None:
    before = found_in(home, "--text", NAME)
    done = run_noibo("privacy", "erase-person", "--text", NAME, home=home)
    assert "Nothing was changed" in done.stdout
    assert found_in(home, "--text", NAME) == before
    assert [one for one in acts(home) if one.what == "person.erase"] == []


def test_who_is_erased_by_name_is_nowhere_on_the_disk(home: Path, stored: dict[str, Any]) -> None:
    assert NAME.encode() in bytes_of(home)
    command = ("privacy", "erase-person", "--text", NAME, "--text", PHONE, "--yes", "--json")
    done = run_noibo(*command, home=home)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["scrubbed"]
    left = bytes_of(home)
    for form in (NAME, NAME.upper(), "912345678", json.dumps(NAME)[1:-1]):
        assert form.encode() not in left, form
    assert OTHER.encode() in left
    assert found_in(home, "--text", NAME, "--text", PHONE)["hits"] == []


@pytest.mark.heavy
def test_what_others_stored_goes_on_working_without_the_name(
    home: Path, stored: dict[str, Any]
) -> None:
    run_noibo("privacy", "erase-person", "--text", NAME, "--text", PHONE, "--yes", home=home)
    ids, keys = stored["ids"], stored["keys"]
    with (
        RunningServer(home) as server,
        sdk(server, keys["an"]) as an,
        sdk(server, keys["binh"]) as b,
    ):
        assert "[erased]" in an.responses.retrieve(ids["of an"]).output_text
        assert OTHER in an.responses.retrieve(ids["another"]).output_text
        assert "[erased]" in b.responses.retrieve(ids["background"]).output_text
        again = an.responses.create(model="echo", input="go on", previous_response_id=ids["of an"])
        assert again.status == "completed"
        names = {one.id: one.filename for one in b.files.list().data}
        assert names == {ids["named"]: "[erased].txt", ids["bytes"]: "scan.bin"}
        with pytest.raises(openai.NotFoundError):
            b.files.content(ids["text"])


def test_the_audit_log_says_that_somebody_was_erased_and_not_who(home: Path) -> None:
    run_noibo("privacy", "erase-person", "--text", NAME, "--yes", home=home)
    (act,) = [one for one in acts(home) if one.what == "person.erase"]
    assert act.about.startswith("text:")
    assert act.ended == "done"
    assert act.details["erased_response_item"] >= 3
    assert NAME not in (home / "audit.jsonl").read_text()
    assert check(home / "audit.jsonl").sound


@pytest.mark.heavy
def test_a_user_is_erased_with_all_they_stored(home: Path, stored: dict[str, Any]) -> None:
    done = run_noibo("privacy", "erase-person", "--user", "binh", "--yes", home=home)
    assert done.returncode == 0, done.stderr
    ids, keys = stored["ids"], stored["keys"]
    assert not list((home / "files").iterdir())
    with RunningServer(home) as server:
        with sdk(server, keys["binh"]) as b, pytest.raises(openai.AuthenticationError):
            b.models.list()
        with sdk(server, keys["an"]) as an:
            assert NAME in an.responses.retrieve(ids["of an"]).output_text, "another's"
    assert "binh" not in run_noibo("user", "list", home=home).stdout
    assert "binh" not in run_noibo("key", "list", home=home).stdout


def test_what_a_removed_user_stored_is_erased_too(home: Path) -> None:
    run_noibo("user", "rm", "binh", home=home)
    done = run_noibo("privacy", "erase-person", "--user", "binh", "--json", home=home)
    assert json.loads(done.stdout)["files"] == 4
    run_noibo("privacy", "erase-person", "--user", "binh", "--yes", home=home)
    assert not list((home / "files").iterdir())


def test_a_user_gets_all_that_is_kept_of_them(
    home: Path, stored: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "binh.zip"
    done = run_noibo("privacy", "export-person", str(out), "--user", "binh", home=home)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(out) as found:
        names = set(found.namelist())
        ids = stored["ids"]
        assert found.read(f"files/{ids['text']}") == f"Danh sách: {NAME}\n".encode()
        assert {"about.json", "response.jsonl", "response_item.jsonl", "user.jsonl"} <= names
        items = [json.loads(line) for line in found.read("response_item.jsonl").splitlines()]
        assert {item["owner"] for item in items} == {"binh"}
        assert isinstance(items[0]["body"], dict)
        whole = b"".join(found.read(name) for name in names)
        assert b"scrypt" not in whole
        assert ids["of an"].encode() not in whole
    again = run_noibo("privacy", "export-person", str(out), "--user", "binh", home=home)
    assert "is there already" in again.stderr


def test_somebody_named_gets_what_names_them(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "person.zip"
    run_noibo("privacy", "export-person", str(out), "--text", NAME, home=home)
    with zipfile.ZipFile(out) as found:
        names = set(found.namelist())
        assert {"response_item.jsonl", "file.jsonl", "files/conversations_talk.json"} <= names
        assert OTHER not in found.read("response_item.jsonl").decode()


def test_one_says_whom(home: Path) -> None:
    for options in ([], ["--user", ""], ["--user", "an", "--text", NAME]):
        assert run_noibo("privacy", "erase-person", *options, home=home).returncode == 2
