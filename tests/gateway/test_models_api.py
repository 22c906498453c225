"""The models of this machine over `/noibo/v1/`, on real servers with real downloads."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from blockbuster import blockbuster_ctx

from noibo.client import AsyncClient, Client
from noibo.errors import DiskFull, RequestFailed
from noibo.gateway.app import create_app
from noibo.modelstore.download.pieces_table import Cut
from noibo.serving import open_services
from noibo.settings import load
from noibo.wire import sse
from noibo.wire.importing import ImportedRow
from noibo.wire.models import CheckedRow, ModelRow, ProgressRow, PullEvent, PullEvents
from tests.modelstore.file_server import FileServer
from tests.modelstore.index_server import tiny_gguf
from tests.running import RunningServer, run_noibo, until

GGUF = tiny_gguf(4)
SHA256 = hashlib.sha256(GGUF).hexdigest()
CHUNK = Cut().chunk
HALF = 2**21
GUARD = {"X-Noibo-Client": "1"}


@pytest.fixture
def files() -> Iterator[FileServer]:
    """Serves a model of 4 MB under every path."""
    with FileServer(GGUF) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that do not harm it."""
    with RunningServer(tmp_path_factory.mktemp("models") / "home") as server:
        yield server


@pytest.fixture
def client(shared_server: RunningServer) -> Iterator[Client]:
    """A client of that server, whose store is empty."""
    with shared_server.client() as connected:
        yield connected
        for pull in connected.pulls():
            connected.cancel_pull(pull.id)
        for model in connected.stored_models().models:
            connected.remove(model.name)
        with contextlib.suppress(RequestFailed):
            connected.remove("tiny")  # a damaged one is not listed
        connected.collect_garbage(partial=True)


def address(files: FileServer, pin: str = SHA256) -> str:
    return files.url.replace("file.bin", f"tiny.gguf#sha256={pin}")


def until_half(files: FileServer, steps: PullEvents) -> ProgressRow:
    """Follow a pull until the server has sent the half that its gate lets through."""
    for event in steps:
        assert isinstance(event, ProgressRow)
        if event.done >= HALF - CHUNK:
            return event
    raise AssertionError("the pull ended")


def finish(steps: PullEvents) -> ModelRow:
    *progress, model = steps
    assert all(isinstance(one, ProgressRow) for one in progress)
    assert isinstance(model, ModelRow)
    assert Path(model.path).read_bytes() == GGUF
    return model


def end_of(client: Client, pull_id: str) -> PullEvent:
    """Wait until a pull has ended; what came of it."""
    return list(client.watch_pull(pull_id))[-1]


# ── a pull ──────────────────────────────────────────────────────────────────


def test_a_pull_is_a_stream_of_progress_that_ends_in_done(
    client: Client, files: FileServer
) -> None:
    files.lift(HALF)
    body = {"model": address(files)}
    url = f"{client.base_url}/noibo/v1/models/pull"
    with httpx2.stream("POST", url, json=body, headers=GUARD, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        buffer, names, datas = sse.EventBuffer(), [], []
        for chunk in answer.iter_bytes():
            for event in sse.events(buffer.feed(chunk)):
                names.append(sse.name(event))
                datas.append(sse.data(event).decode())
            files.lift()
    assert names[-1] == "done"
    assert set(names[:-1]) == {"progress"}
    assert '"name":"tiny:latest"' in datas[-1]
    assert any('"note":"Licence: Not stated' in data for data in datas)


def test_what_was_pulled_can_be_asked_for_at_once_and_what_was_removed_not(
    client: Client, files: FileServer
) -> None:
    with pytest.raises(RequestFailed):
        client.model("tiny")
    finish(client.pull(address(files)))
    assert client.model("tiny") == "tiny:latest"
    assert client.models() == ["tiny:latest"]
    gone = client.remove("tiny")
    assert (gone.model, gone.freed, gone.shared, gone.in_place) == ("tiny:latest", len(GGUF), 0, 0)
    with pytest.raises(RequestFailed) as caught:
        client.model("tiny")
    assert caught.value.server_code == "model_not_found"


def test_two_callers_share_one_pull(client: Client, files: FileServer) -> None:
    files.lift(HALF)
    first, second = client.pull(address(files)), client.pull(address(files))
    assert until_half(files, first).pull == until_half(files, second).pull
    row = client.pulls()[-1]
    assert (row.state, row.watchers) == ("running", 2)
    files.lift()
    assert finish(first) == finish(second)
    assert files.sent == len(GGUF)


def test_a_watcher_that_hangs_up_does_not_stop_it(client: Client, files: FileServer) -> None:
    files.lift(HALF)
    steps = client.pull(address(files))
    pull_id = until_half(files, steps).pull
    steps.close()  # type: ignore[attr-defined]
    until(lambda: client.pulls()[-1].watchers == 0, "the server has noticed")
    files.lift()
    assert isinstance(end_of(client, pull_id), ModelRow)
    assert files.sent == len(GGUF)


def test_a_pull_without_a_stream_can_be_watched_later_from_its_beginning(
    client: Client, files: FileServer
) -> None:
    files.lift(HALF)
    body = {"model": address(files), "name": "mine:v1", "stream": False}
    url = f"{client.base_url}/noibo/v1"
    answer = httpx2.post(f"{url}/models/pull", json=body, headers=GUARD, timeout=30)
    assert answer.status_code == 202
    row = answer.json()
    assert (row["state"], row["name"], row["result"]) == ("running", "mine:v1", None)
    assert "#" not in row["model"]
    first = next(client.watch_pull(row["id"]))
    assert isinstance(first, ProgressRow)
    assert first.note.startswith("Licence:")
    files.lift()
    assert finish(client.watch_pull(row["id"])).name == "mine:v1"
    one = httpx2.get(f"{url}/pulls/{row['id']}").json()
    assert (one["state"], one["result"]["name"]) == ("done", "mine:v1")


def test_cancel_keeps_what_is_here_and_the_same_pull_fetches_only_the_rest(
    client: Client, files: FileServer
) -> None:
    files.lift(HALF)
    steps = client.pull(address(files))
    row = client.cancel_pull(until_half(files, steps).pull)
    assert row.state == "cancelled"
    assert row.error is not None
    with pytest.raises(RequestFailed) as caught:
        list(steps)
    assert caught.value.server_code == "cancelled"
    assert client.stored_models().models == []
    (left,) = {one.kind for one in client.store_usage().leftovers}
    assert left == "partial"
    files.forget()
    files.lift()
    finish(client.pull(address(files)))
    assert 0 < files.sent <= len(GGUF) - HALF + 4 * CHUNK
    assert [one.state for one in client.pulls()][-2:] == ["cancelled", "done"]


@pytest.mark.heavy
def test_a_server_that_is_told_to_stop_does_so_in_mid_pull(home: Path, files: FileServer) -> None:
    files.lift(HALF)
    with RunningServer(home, NOIBO_SERVER_SHUTDOWN_GRACE_S="120") as server:
        with server.client() as client:
            steps = client.pull(address(files))
            until_half(files, steps)
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(RequestFailed) as caught:
                list(steps)
        assert caught.value.server_code == "cancelled"
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log.read_text()
    files.forget()
    files.lift()
    with RunningServer(home) as server, server.client() as client:
        finish(client.pull(address(files)))
    assert 0 < files.sent <= len(GGUF) - HALF + 4 * CHUNK


@pytest.mark.heavy
def test_a_server_that_is_killed_in_mid_pull_goes_on_later(home: Path, files: FileServer) -> None:
    files.lift(HALF)
    with RunningServer(home) as server:
        with server.client() as client:
            until_half(files, client.pull(address(files)))
            os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(30)
    files.forget()
    files.lift()
    with RunningServer(home) as server, server.client() as client:
        finish(client.pull(address(files)))
    assert 0 < files.sent <= len(GGUF) - HALF + 4 * CHUNK


# ── errors ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("../x", 400, "invalid_model_name"),
        ("gpt-4o-mini", 404, "unknown_model"),
    ],
)
def test_what_is_wrong_with_the_name_is_a_status_and_not_a_stream(
    shared_server: RunningServer, model: str, status: int, code: str
) -> None:
    with shared_server.client() as client, pytest.raises(RequestFailed) as caught:
        list(client.pull(model))
    assert (caught.value.http_status, caught.value.server_code) == (status, code)
    assert caught.value.next_step
    assert caught.value.next_step not in caught.value.message


def test_the_first_event_names_the_pull_before_anything_is_known(
    client: Client, files: FileServer
) -> None:
    files.trouble.mute = {1}
    steps = client.pull(address(files))
    first = next(steps)
    assert isinstance(first, ProgressRow)
    assert first.stage in {"find", "licence"}
    assert first.pull == client.pulls()[-1].id
    client.cancel_pull(first.pull)
    files.stopped.set()
    with pytest.raises(RequestFailed) as caught:
        list(steps)
    assert caught.value.server_code == "cancelled"


def test_without_a_stream_what_is_known_at_once_is_a_status(shared_server: RunningServer) -> None:
    url = f"{shared_server.url}/noibo/v1/models/pull"
    body = {"model": "/nowhere/x.gguf", "stream": False}
    answer = httpx2.post(url, json=body, headers=GUARD, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_offered")


def test_offline_a_pull_is_refused(home: Path, files: FileServer) -> None:
    with RunningServer(home, NOIBO_OFFLINE="1") as server, server.client() as client:
        with pytest.raises(RequestFailed) as caught:
            list(client.pull(address(files)))
        body = {"model": address(files), "stream": False}
        url = f"{server.url}/noibo/v1/models/pull"
        answer = httpx2.post(url, json=body, headers=GUARD, timeout=30)
    assert caught.value.server_code == answer.json()["error"]["code"] == "egress_refused"
    assert answer.status_code == 403
    assert files.requests == []


@pytest.mark.heavy
def test_a_licence_that_is_not_allowed_is_refused(home: Path, files: FileServer) -> None:
    allowed = {"NOIBO_LICENCES_ALLOWED": "permissive"}
    with RunningServer(home, **allowed) as server, server.client() as client:
        with pytest.raises(RequestFailed) as caught:
            list(client.pull(address(files)))
        assert caught.value.server_code == "licence_refused"
        assert client.stored_models().models == []
        assert client.store_usage().blobs == 0


def test_what_goes_wrong_later_is_the_last_event(client: Client, files: FileServer) -> None:
    files.lift(HALF)
    steps = client.pull(address(files, "0" * 64))
    pull_id = until_half(files, steps).pull
    files.lift()
    with pytest.raises(RequestFailed) as caught:
        list(steps)
    assert caught.value.server_code == "digest_mismatch"
    row = client.pulls()[-1]
    assert (row.id, row.state) == (pull_id, "failed")
    assert row.error is not None
    assert row.error.code == "digest_mismatch"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, where one may be mounted; it must be possible where the tests count."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    can = sys.platform == "linux" and shutil.which("mount") is not None
    if not can or subprocess.run(command, capture_output=True, check=False).returncode:
        assert not (can and os.environ.get("CI") == "true"), "CI runs as root and can mount"
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.heavy
def test_a_disk_without_room_is_an_error_with_its_code_and_nothing_is_kept(
    home: Path, files: FileServer, small_disk: Path
) -> None:
    store = {"NOIBO_STORE_PATH": str(small_disk / "models")}
    with RunningServer(home, **store) as server, server.client() as client:
        with pytest.raises(RequestFailed) as caught:
            list(client.pull(address(files)))
        assert caught.value.server_code == "disk_full"
        assert "4.1 MB needed" in caught.value.message
        assert "noibo rm MODEL" in caught.value.next_step
        done = run_noibo("pull", address(files), home=home, **store)
        assert (done.returncode, done.stdout) == (DiskFull.exit_code, "")
        assert caught.value.next_step in done.stderr
        assert [pull.state for pull in client.pulls()] == ["failed", "failed"]
        assert client.stored_models().models == []
        assert client.store_usage().blobs == 0


CHANGES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/models/pull", {"model": "x"}),
    ("POST", "/models/add", {"path": "/x.gguf"}),
    ("DELETE", "/models/x", None),
    ("DELETE", "/pulls/x", None),
    ("POST", "/models/import", {}),
    ("POST", "/store/check", {}),
    ("POST", "/store/gc", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_changes_something_needs_the_header(
    shared_server: RunningServer, method: str, path: str, body: dict[str, Any] | None
) -> None:
    url = f"{shared_server.url}/noibo/v1{path}"
    answer = httpx2.request(method, url, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/models/pull", {"model": "x", "nmae": "y"}, "nmae"),
        ("/models/pull", {}, "model"),
        ("/models/pull", {"model": ""}, "model"),
        ("/models/pull", {"model": 7}, "model"),
        ("/models/add", {"path": "x", "copy": True}, "copy"),
        ("/models/import", {"folders": "x"}, "folders"),
        ("/models/import", {"folders": [""]}, "folders.0"),
        ("/models/import", {"copy": True}, "copy"),
        ("/store/check", {"repair": "perhaps"}, "repair"),
        ("/store/gc", {"everything": True}, "everything"),
        ("/store/gc", [], "the body"),
    ],
)
def test_a_body_that_is_not_understood_is_refused(
    shared_server: RunningServer, path: str, body: Any, named: str
) -> None:
    answer = httpx2.post(f"{shared_server.url}/noibo/v1{path}", json=body, headers=GUARD)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    assert error["message"].startswith(f"{named}: ")
    assert "File " not in error["message"]


def test_a_pull_that_nobody_knows_is_not_found(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        for call in (client.cancel_pull, lambda one: list(client.watch_pull(one))):
            with pytest.raises(RequestFailed) as caught:
                call("../../status")
            assert caught.value.http_status == 404


# ── models and the store ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["tiny", "acme/tiny:v1", "hf.co/acme/tiny:q4_0", "127.0.0.1:80/a/b"]
)
def test_a_file_is_added_shown_and_removed(client: Client, tmp_path: Path, name: str) -> None:
    path = tmp_path / "some model.gguf"
    path.write_bytes(GGUF)
    added = client.add(str(path), name)
    assert (added.path, added.in_place) == (str(path), True)
    shown = client.show(name)
    assert shown.name == added.name
    assert [one.path for one in shown.contents] == [str(path)]
    assert shown.licensed.kind == "unknown"
    assert set(shown.licensed.means) == {"en", "vi"}
    assert shown.info["architecture"] == shown.architecture == "llama"
    assert added.name in [one.name for one in client.stored_models().models]
    gone = client.remove(name)
    assert (gone.freed, gone.in_place) == (0, len(GGUF))
    with pytest.raises(RequestFailed) as caught:
        client.show(name)
    assert caught.value.server_code == "model_not_found"
    assert path.exists()


def test_a_damaged_model_is_listed_as_a_problem_and_can_be_removed(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(GGUF)
    client.add(str(path))
    os.utime(path, ns=(1, 1))
    found = client.stored_models()
    assert found.models == []
    assert "has changed" in found.problems[0].message
    assert "noibo add" in found.problems[0].next_step
    client.remove("tiny")
    assert client.stored_models().problems == []


def test_a_model_that_is_loaded_is_unloaded_when_it_is_removed(
    client: Client, smollm2_gguf: Path
) -> None:
    client.add(str(smollm2_gguf), "own")
    client.chat("Hi", "own", max_tokens=1)
    assert [row.model for row in client.workers()] == ["own:latest"]
    client.remove("own")
    assert client.workers() == []
    assert smollm2_gguf.exists()


def test_a_check_finds_what_is_bad_and_repair_fetches_only_that(
    client: Client, files: FileServer
) -> None:
    model = finish(client.pull(address(files)))
    files.forget()
    flip(Path(model.path), 3 * CHUNK + 5)
    *progress, checked = client.check_store()
    assert progress
    assert isinstance(checked, CheckedRow)
    (fault,) = checked.faults
    assert fault.models == ["tiny:latest"]
    assert "--repair" in fault.next_step
    assert files.requests == []

    *_, mended = client.check_store(repair=True)
    assert isinstance(mended, CheckedRow)
    assert (mended.faults, len(mended.mended)) == ([], 1)
    assert files.sent == CHUNK
    assert Path(client.show("tiny").path).read_bytes() == GGUF


def test_what_cannot_be_mended_stays_a_fault_with_the_reason(
    client: Client, files: FileServer
) -> None:
    model = finish(client.pull(address(files)))
    flip(Path(model.path), 5)
    files.trouble.statuses = [(404, {})] * 20
    *_, checked = client.check_store(repair=True)
    assert isinstance(checked, CheckedRow)
    (fault,) = checked.faults
    assert "could not be mended" in fault.what
    assert "404" in fault.what


def test_garbage_is_measured_and_collected(client: Client, files: FileServer) -> None:
    finish(client.pull(address(files)))
    files.lift(files.sent + HALF)
    steps = client.pull(address(files).replace("tiny", "other"), "other")
    with contextlib.suppress(RequestFailed):
        client.cancel_pull(next(steps).pull)  # type: ignore[union-attr]
    usage = client.store_usage()
    (use,) = usage.models
    assert (use.model, use.own, use.shared, use.in_place) == ("tiny:latest", len(GGUF), 0, 0)
    assert usage.free > 0
    assert client.collect_garbage().removed == []
    gone = client.collect_garbage(partial=True)
    assert {one.kind for one in gone.removed} <= {"partial"}
    assert client.store_usage().leftovers == []
    assert Path(client.show("tiny").path).read_bytes() == GGUF


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


# ── the loop ────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_no_route_blocks_the_event_loop(
    files: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_FETCH_HUB", "http://127.0.0.1:9")
    path = tmp_path / "own.gguf"
    path.write_bytes(GGUF)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(lambda: open_services(load(), lambda: None))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="asyncio"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    async with AsyncClient(url) as client:
        with blockbuster_ctx():
            pulled = [one async for one in client.pull(address(files))]
            added = await client.add(str(path), "own")
            listed = await client.stored_models()
            shown = await client.show("tiny")
            checked = [one async for one in client.check_store(repair=True)]
            again = [one async for one in client.watch_pull((await client.pulls())[0].id)]
            cancelled = await client.cancel_pull((await client.pulls())[0].id)
            usage = await client.store_usage()
            removed = await client.remove("tiny")
            collected = await client.collect_garbage(partial=True)
            known = await client.catalog("llama3", "chat")
            found = await client.search("vistral")
            imported = [one async for one in client.import_models([str(tmp_path)])]
            with pytest.raises(RequestFailed):
                await client.show("tiny")
    server.should_exit = True
    await serving
    assert pulled[-1] == again[-1]
    assert cancelled.state == "done"
    assert {one.name for one in listed.models} == {"tiny:latest", added.name}
    assert shown.size == removed.freed == len(GGUF)
    assert isinstance(checked[-1], CheckedRow)
    assert usage.in_place == len(GGUF)
    assert collected.freed >= 0
    assert {one.family for one in known} == {"llama3"}
    assert [one.name for one in found.catalogue] == ["vistral:7b"]
    assert found.hub_problem
    assert isinstance(imported[-1], ImportedRow)
    assert imported[-1].found == 1
