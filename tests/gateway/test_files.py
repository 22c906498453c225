"""OpenAI's files through the official client: taken in pieces, listed, read, deleted, swept."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from noibo.assembly import open_stored
from noibo.errors import NotFound
from noibo.gateway.app import create_app
from noibo.gateway.page import Page
from noibo.serving import open_services
from noibo.settings import load
from tests.gateway.keeping import keep
from tests.running import RunningServer, until

LARGEST = 3_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("files") / "home"
    with RunningServer(home, NOIBO_SERVER_MAX_FILE_BYTES=str(LARGEST)) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as made:
        yield made


def contents(server: RunningServer) -> set[str]:
    folder = server.home / "files"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_a_file_comes_back_as_it_went(client: openai.OpenAI, server: RunningServer) -> None:
    data = os.urandom(2_500_000)
    made = client.files.create(file=("my notes.bin", data), purpose="user_data")
    assert (made.bytes, made.filename, made.purpose) == (len(data), "my notes.bin", "user_data")
    assert (made.object, made.status, made.expires_at) == ("file", "processed", None)
    assert client.files.content(made.id).content == data
    assert client.files.retrieve(made.id) == made
    path = server.home / "files" / made.id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    gone = client.files.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    assert not path.exists()
    with pytest.raises(openai.NotFoundError):
        client.files.content(made.id)
    with pytest.raises(openai.NotFoundError):
        client.files.delete(made.id)


def test_an_empty_file_is_a_file(client: openai.OpenAI) -> None:
    made = client.files.create(file=("none", b""), purpose="user_data")
    assert made.bytes == 0
    assert client.files.content(made.id).content == b""


@pytest.mark.parametrize("purpose", ["assistants", "batch", "evals", "user_data", "vision"])
def test_each_purpose_is_kept_and_listed(client: openai.OpenAI, purpose: Any) -> None:
    made = client.files.create(file=("a", b"b"), purpose=purpose)
    assert made.id in [one.id for one in client.files.list(purpose=purpose)]
    other = "vision" if purpose != "vision" else "evals"
    assert made.id not in [one.id for one in client.files.list(purpose=other)]


@pytest.mark.parametrize("purpose", ["fine-tune", "odd", "", "batch_output"])
def test_another_purpose_is_refused_and_nothing_is_kept(
    client: openai.OpenAI, server: RunningServer, purpose: Any
) -> None:
    before = contents(server)
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("a", b"b"), purpose=purpose)
    assert caught.value.param == "purpose"
    assert contents(server) == before


def test_files_are_listed_in_pages_and_orders(client: openai.OpenAI) -> None:
    for old in client.files.list():
        client.files.delete(old.id)
    made = [client.files.create(file=(str(i), b""), purpose="evals").id for i in range(5)]
    assert [one.id for one in client.files.list(order="asc", limit=2)] == made
    assert [one.id for one in client.files.list(limit=2)] == made[::-1]
    page = client.files.list(limit=2, order="asc", after=made[1])
    assert [one.id for one in page.data] == made[2:4]
    assert page.has_more is True
    for wrong in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}, {"after": "file-0"}):
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.list(**wrong)  # type: ignore[arg-type]
        assert caught.value.param == next(iter(wrong))


def test_a_lifetime_is_kept_and_bounded(client: openai.OpenAI) -> None:
    made = client.files.create(
        file=("a", b"b"),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert made.expires_at is not None
    assert made.expires_at - made.created_at in {3600, 3601}
    batch = client.files.create(file=("a", b"b"), purpose="batch")
    assert batch.expires_at is not None
    assert round((batch.expires_at - batch.created_at) / 86_400) == 30
    for wrong in (
        {"anchor": "created_at", "seconds": 3599},
        {"anchor": "created_at", "seconds": 2_592_001},
        {"anchor": "last_used_at", "seconds": 3600},
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.create(file=("a", b"b"), purpose="user_data", expires_after=wrong)  # type: ignore[arg-type]
        assert (caught.value.param or "").startswith("expires_after")


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(
    client: openai.OpenAI, server: RunningServer
) -> None:
    before = contents(server)
    with pytest.raises(openai.APIStatusError) as caught:
        client.files.create(file=("big", b"x" * (LARGEST + 1)), purpose="user_data")
    assert caught.value.status_code == 413

    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(8):
            yield b"x" * 1_000_000

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx2.post(server.url + "/v1/files", content=endless(), headers=kind)
    assert answer.status_code == 413  # also where it does not say how large it is

    def after_the_end() -> Iterator[bytes]:
        yield PURPOSE + FILE_PART + b"--b--\r\n"
        for _ in range(8):
            yield b"x" * 1_000_000

    answer = httpx2.post(server.url + "/v1/files", content=after_the_end(), headers=kind)
    assert answer.status_code == 413
    until(lambda: contents(server) == before, "nothing of it is left")


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x.exe", "a\x00b", "\r\nX: y", ""])
def test_a_name_is_only_a_name(client: openai.OpenAI, server: RunningServer, name: str) -> None:
    boundary = "b"
    quoted = name.replace("\r\n", "%0D%0A")
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        f"hello\r\n--{boundary}--\r\n"
    ).encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = httpx2.post(server.url + "/v1/files", content=body, headers=kind)
    if answer.status_code == 200:
        made = answer.json()
        assert "/" not in made["filename"]
        assert "\\" not in made["filename"]
        assert made["filename"].isprintable()
        assert made["id"] in contents(server)
        told = client.files.with_raw_response.content(made["id"])
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["content-disposition"].startswith("attachment")
    else:
        assert answer.status_code == 400, answer.text


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n'
PURPOSE = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "multipart/form-data"}, FILE_PART),
        ({"Content-Type": "multipart/form-data; boundary=" + "x" * 500}, b"x"),
        (FORM, b""),
        (FORM, b"not a form"),
        (FORM, FILE_PART),
        (FORM, FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE + b"--b--\r\n"),
        (FORM, PURPOSE + FILE_PART + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE + PURPOSE + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE * 40 + b"--b--\r\n"),
        (FORM, PURPOSE + FILE_PART.replace(b'; filename="x"', b"") + b"--b--\r\n"),
        (FORM, PURPOSE.replace(b"\r\n\r", b"\r\nX: y" * 9 + b"\r\n\r") + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE.replace(b"purpose", b"p" * 5000) + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE.replace(b"purpose", b"colour") + PURPOSE + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE.replace(b"evals", b"\xff") + FILE_PART + b"--b--\r\n"),
        (FORM, PURPOSE.replace(b"evals", b"e" * 100_000) + FILE_PART + b"--b--\r\n"),
    ],
)
def test_a_form_that_cannot_be_read_is_a_400_and_leaves_nothing(
    server: RunningServer, headers: dict[str, str], body: bytes
) -> None:
    before = contents(server)
    answer = httpx2.post(server.url + "/v1/files", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    until(lambda: contents(server) == before, "nothing of it is left")


def test_who_hangs_up_in_the_middle_leaves_nothing(server: RunningServer) -> None:
    before = contents(server)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 2000000\r\n"
        kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        half.sendall((head + kind).encode() + PURPOSE + FILE_PART[:-3] + b"x" * 1_500_000)
        until(lambda: len(contents(server)) > len(before), "it is being written")
    until(lambda: contents(server) == before, "nothing of it is left")


@pytest.mark.parametrize("name", ["file-0", "%2e%2e%2fnoibo.db", "noibo.db", "a" * 200])
def test_an_unknown_name_is_a_404(server: RunningServer, name: str) -> None:
    url = f"{server.url}/v1/files/{name}"
    assert httpx2.get(url).status_code == 404
    assert httpx2.get(url + "/content").status_code == 404
    assert httpx2.delete(url).status_code == 404


@pytest.mark.anyio
async def test_what_expired_is_gone_with_its_row_and_what_others_may_know_stays(home: Path) -> None:
    stored = open_stored(load())
    files, now = stored.files, time.time()
    kept, later = await keep(stored), await keep(stored, expires_at=now + 60)
    old = await keep(stored, expires_at=now - 1)
    assert await files.get("local", old.id) is None
    assert len((await files.page("local", Page(10), None))["data"]) == 2
    (home / "files" / "file-b").write_bytes(b"whole: another database may know it")
    await files.sweep()
    assert inside(home) == {"file-b", kept.id, later.id}
    assert await files.get("local", old.id, expired=True) is None
    await stored.database.close()


def inside(home: Path) -> set[str]:
    return {path.name for path in (home / "files").iterdir()}


@pytest.mark.anyio
async def test_what_a_kill_left_is_settled_by_its_row_and_what_is_written_is_let_be(
    home: Path,
) -> None:
    stored = open_stored(load())
    files = stored.files
    unnamed, expiring = await keep(stored), await keep(stored)
    content = home / "files" / unnamed.id
    content.rename(content.with_name(unnamed.id + ".part"))  # killed after its row was written
    (home / "files" / "file-a.part").write_bytes(b"half")  # killed before
    coming = await files.start()
    await files.delete("local", expiring.id)
    await files.sweep()
    assert inside(home) == {unnamed.id, coming.id + ".part"}
    await asyncio.to_thread(coming.abandon)
    content.rename(content.with_name(unnamed.id + ".part"))
    assert await files.read(unnamed) == b"x"  # nobody has swept yet
    await stored.database.close()


@pytest.mark.anyio
async def test_an_upload_that_is_cancelled_at_any_moment_is_there_whole_or_not_at_all(
    home: Path,
) -> None:
    app = create_app(lambda: open_services(load(), lambda: None))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as web,
    ):

        async def upload() -> None:
            form = {"files": {"file": ("a", b"x" * 3_000_000)}, "data": {"purpose": "evals"}}
            await web.post("/v1/files", **form)

        await upload()
        for i in range(40):
            uploading = asyncio.create_task(upload())
            await asyncio.sleep(i / 2000)
            uploading.cancel()
            await asyncio.gather(uploading, return_exceptions=True)
        stored = await app.state.services.stored()
        await asyncio.sleep(0.5)  # what had begun ends
        listed = (await web.get("/v1/files")).json()["data"]
        await stored.files.sweep()
        found = {path.name: path.stat().st_size for path in contents_of(home)}
    assert found == {one["id"]: one["bytes"] for one in listed}


def contents_of(home: Path) -> list[Path]:
    return list((home / "files").iterdir())


@pytest.mark.anyio
async def test_another_owner_sees_nothing(home: Path) -> None:
    stored = open_stored(load())
    files = stored.files
    mine = await keep(stored, owner="mine")
    assert await files.get("other", mine.id) is None
    assert (await files.page("other", Page(10), None))["data"] == []
    with pytest.raises(NotFound):
        await files.delete("other", mine.id)
    assert await files.get("mine", mine.id) is not None
    await stored.database.close()


def test_a_file_may_be_read_while_it_is_deleted(client: openai.OpenAI) -> None:
    made = client.files.create(file=("a", io.BytesIO(b"y" * 1_000_000)), purpose="evals")
    with client.files.with_streaming_response.content(made.id) as reading:
        client.files.delete(made.id)
        assert len(reading.read()) == 1_000_000
