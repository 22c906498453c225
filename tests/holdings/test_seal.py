"""What is stored can be sealed: then the disk tells nothing of it, and no change goes unseen."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from pathlib import Path

import openai
import pytest

from noibo.database.seal import Seal, SealKey
from noibo.database.seal_key import make_key, seal_of
from noibo.database.sealed_file import FRAME, SealedWriter, key_of, open_file
from noibo.errors import DatabaseError, NameTaken, SettingsError
from noibo.gateway.files.contents import Contents
from tests.running import RunningServer, run_noibo

CANARY = "Kanarienvogel"
KEY, OTHER = SealKey.of(bytes(32)), SealKey.of(bytes([1] * 32))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key in a file."""
    make_key(tmp_path / "key")
    return tmp_path / "key"


def disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


# ── texts ───────────────────────────────────────────────────────────────────


def test_a_sealed_text_opens_in_its_place_alone() -> None:
    seal = Seal([KEY])
    sealed = seal.seal_text(f'{{"x": "{CANARY}"}}', "responses.body")
    assert CANARY not in sealed
    assert sealed != seal.seal_text(f'{{"x": "{CANARY}"}}', "responses.body")
    assert CANARY in seal.open_text(sealed, "responses.body")
    with pytest.raises(DatabaseError, match="was changed"):
        seal.open_text(sealed, "files.name")


def test_what_was_stored_before_there_was_a_key_is_read_as_it_is() -> None:
    assert Seal([KEY]).open_text('{"a": 1}', "responses.body") == '{"a": 1}'
    assert Seal([KEY]).open_bytes(b"x\x9c", "responses.events") == b"x\x9c"


def test_without_its_key_nothing_opens_and_the_error_names_it() -> None:
    sealed = Seal([KEY]).seal_bytes(b"1", "x")
    with pytest.raises(DatabaseError, match=KEY.name):
        Seal([OTHER]).open_bytes(sealed, "x")
    assert Seal([OTHER, KEY]).open_bytes(sealed, "x") == b"1"


@pytest.mark.parametrize("place", [0, 9, 20, -1])
def test_a_changed_sealed_value_does_not_open(place: int) -> None:
    sealed = bytearray(Seal([KEY]).seal_bytes(b"one two three", "x"))
    sealed[len(b"NBS1") + 8 + place if place >= 0 else place] ^= 1
    with pytest.raises(DatabaseError):
        Seal([KEY]).open_bytes(bytes(sealed), "x")


# ── where keys are ──────────────────────────────────────────────────────────


def test_a_key_lies_in_a_file_that_only_its_user_reads(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert seal_of(f"file:{key}", ()).first is not None
    with pytest.raises(NameTaken):
        make_key(key)
    key.chmod(0o640)
    with pytest.raises(SettingsError, match="Others may read"):
        seal_of(f"file:{key}", ())


@pytest.mark.parametrize("said", ["A" * 44, "file:", "file:/no/such", "env:NO_SUCH", "sql:x"])
def test_what_says_no_place_of_a_key_is_refused_and_not_repeated(said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        seal_of(said, ())
    assert "AAAA" not in str(caught.value)


def test_a_key_comes_from_a_variable(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", key.read_text())
    first, again = seal_of("env:THE_KEY", ()).first, seal_of(f"file:{key}", ()).first
    assert first == again
    monkeypatch.setenv("THE_KEY", "short")
    with pytest.raises(SettingsError, match="no key"):
        seal_of("env:THE_KEY", ())


# ── files ───────────────────────────────────────────────────────────────────


def written(path: Path, data: bytes, piece: int = 10_000) -> Path:
    with path.open("wb") as file:
        writer = SealedWriter(file, KEY)
        for begin in range(0, len(data), piece):
            writer.write(data[begin : begin + piece])
        writer.finish()
    return path


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 200_001])
def test_a_sealed_file_is_read_as_it_was_written(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = written(tmp_path / "x", data)
    assert key_of(path) == KEY.name
    with open_file(path, Seal([KEY])) as file:
        assert file.read() == data
        for place in (0, size // 2, max(0, size - 1), size):
            file.seek(place)
            assert file.read(100) == data[place : place + 100]


def test_lines_of_a_sealed_file_are_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"n": n}).encode() + b"\n" for n in range(20_000)]
    path = written(tmp_path / "x", b"".join(lines))
    with open_file(path, Seal([KEY])) as file:
        assert list(file) == lines


def test_a_sealed_file_that_was_changed_or_cut_does_not_open(tmp_path: Path) -> None:
    path = written(tmp_path / "x", os.urandom(3 * FRAME))
    whole = path.read_bytes()
    head, frame = 28, FRAME + 16
    swapped = whole[:head] + whole[head + frame : head + 2 * frame] + whole[head : head + frame]
    for harmed in (
        whole[:-1],
        whole[: head + frame],
        whole[: head + 2 * frame],
        whole[:head],
        swapped + whole[head + 2 * frame :],
        whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
    ):
        path.write_bytes(harmed)
        with pytest.raises(DatabaseError), open_file(path, Seal([KEY])) as file:
            file.read()


def test_a_file_that_only_begins_like_a_sealed_one_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data in (b"", b"NBF1", b"NBF1 is how this file begins, and it is no sealed one"):
        path.write_bytes(data)
        with open_file(path, Seal([KEY])) as file:
            assert file.read() == data


def test_contents_are_written_again_by_another_key(tmp_path: Path) -> None:
    (tmp_path / "file-1").write_bytes(CANARY.encode() * 9)
    for seal, name in ((Seal([KEY]), KEY.name), (Seal([OTHER, KEY]), OTHER.name)):
        assert Contents(tmp_path, seal).reseal("file-1")
        assert not Contents(tmp_path, seal).reseal("file-1")
        assert key_of(tmp_path / "file-1") == name
        assert CANARY.encode() not in disk(tmp_path)
    bare = seal_of("", ())
    with pytest.raises(DatabaseError):
        Contents(tmp_path, bare).reseal("file-1")
    assert (tmp_path / "file-1").exists()


# ── a server ────────────────────────────────────────────────────────────────


def fill(server: RunningServer) -> tuple[str, str, str]:
    """A response, a file and a batch with its results."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        response = client.responses.create(model="echo", input=CANARY, background=True)
        while client.responses.retrieve(response.id).status in {"queued", "in_progress"}:
            pass
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions"}
        body = {"model": "echo", "messages": [{"role": "user", "content": CANARY}]}
        data = json.dumps(line | {"body": body}).encode()
        file = client.files.create(file=(f"{CANARY}.jsonl", io.BytesIO(data)), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h",
            metadata={"what": CANARY},
        )  # fmt: skip
        while client.batches.retrieve(batch.id).status != "completed":
            pass
    return response.id, file.id, batch.id


def require_readable(server: RunningServer, ids: tuple[str, str, str]) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        assert CANARY in client.responses.retrieve(ids[0]).output_text
        events = list(client.responses.retrieve(ids[0], stream=True))
        assert CANARY in str(events[-1])
        assert CANARY in client.files.content(ids[1]).text
        assert client.files.retrieve(ids[1]).filename == f"{CANARY}.jsonl"
        batch = client.batches.retrieve(ids[2])
        assert batch.metadata == {"what": CANARY}
        assert CANARY in client.files.content(batch.output_file_id or "").text
        more = client.responses.create(model="echo", input="go on", previous_response_id=ids[0])
        assert more.status == "completed"


def test_a_sealed_home_tells_nothing_and_works(home: Path, key: Path) -> None:
    sealed = {"NOIBO_ENCRYPTION_KEY": f"file:{key}"}
    with RunningServer(home, **sealed) as server:
        ids = fill(server)
        require_readable(server, ids)
        assert CANARY.encode() not in disk(home)
    assert CANARY.encode() not in disk(home)
    with RunningServer(home) as server, openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="none", max_retries=0
    ) as client:  # fmt: skip
        with pytest.raises(openai.InternalServerError, match="which is not set"):
            client.responses.retrieve(ids[0])
        with pytest.raises(openai.InternalServerError, match="which is not set"):
            client.files.content(ids[1])
    found = run_noibo(
        "privacy", "find-person", "--text", CANARY, "--json", home=home, **sealed
    ).stdout
    assert ids[1] in found


@pytest.mark.heavy
def test_what_is_there_is_sealed_and_opened_again(home: Path, key: Path) -> None:
    with RunningServer(home) as server:
        ids = fill(server)
    assert CANARY.encode() in disk(home)
    sealed = {"NOIBO_ENCRYPTION_KEY": f"file:{key}"}
    done = run_noibo("privacy", "reseal", home=home, **sealed)
    assert done.returncode == 0, done.stderr
    assert CANARY.encode() not in disk(home)
    with RunningServer(home, **sealed) as server:
        require_readable(server, ids)
    opened = run_noibo("privacy", "reseal", home=home, NOIBO_ENCRYPTION_FORMER_KEYS=f"file:{key}")
    assert "open now" in opened.stdout
    with sqlite3.connect(home / "noibo.db") as database:
        (body,) = database.execute("SELECT body FROM responses LIMIT 1").fetchone()
    database.close()
    assert body.startswith("{")
    with RunningServer(home) as server:
        require_readable(server, ids)


def test_a_server_without_its_key_does_not_start(home: Path) -> None:
    done = run_noibo("serve", "--port", "0", home=home, NOIBO_ENCRYPTION_KEY="file:/no/such")
    assert done.returncode == 2
    assert "/no/such cannot be read" in done.stderr
