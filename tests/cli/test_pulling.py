"""`noibo pull` as a user types it, through the server of this home and without one."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from noibo.cli.pulling import HeldInterrupt
from noibo.errors import DigestMismatch, EgressRefused, LicenceRefused, ServerUnreachable
from noibo.modelstore.download.pieces_table import Cut
from noibo.modelstore.store import Store
from tests.modelstore.file_server import FileServer
from tests.modelstore.index_server import tiny_gguf
from tests.modelstore.other_programs import model, write
from tests.running import RunningServer, clean_environment, run_noibo, until

pytestmark = pytest.mark.heavy  # the long stories of the store; `make test` has the short ones

GGUF = tiny_gguf(4)
SHA256 = hashlib.sha256(GGUF).hexdigest()
CHUNK = Cut().chunk
HALF = 2**21
ON_A_TERMINAL = (
    "import os, sys; os.login_tty(0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'noibo', *sys.argv[1:]])"
)
LICENCE = "Licence: Not stated (unknown)."


@dataclass
class Setup:
    """A home, with a server that runs there or without, and a place that has the model."""

    home: Path
    files: FileServer
    server: RunningServer | None

    def address(self, pin: str = SHA256) -> str:
        return self.files.url.replace("file.bin", f"tiny.gguf#sha256={pin}")

    def pull(self, *more: str, pin: str = SHA256, **environ: str) -> subprocess.CompletedProcess:  # type: ignore[type-arg]
        return run_noibo("pull", self.address(pin), *more, home=self.home, **environ)

    def begin(self, *more: str) -> subprocess.Popen[str]:
        """A pull that has come half its way and stands there."""
        self.files.lift(HALF)
        process = subprocess.Popen(
            [sys.executable, "-m", "noibo", "pull", self.address(), *more],
            env=clean_environment(self.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.until_half()
        return process

    def until_half(self) -> None:
        until(lambda: self.files.sent >= HALF, "half of it is sent")
        time.sleep(0.3)  # and written

    def states(self) -> list[str]:
        """Of the server's pulls."""
        assert self.server is not None
        with self.server.client() as client:
            return [pull.state for pull in client.pulls()]

    def assert_the_rest_is_fetched(self) -> None:
        """The same command goes on, and does not begin again."""
        self.files.forget()
        self.files.lift()
        done = self.pull()
        assert (done.returncode, done.stdout[:13]) == (0, "tiny:latest: ")
        assert 0 < self.files.sent <= len(GGUF) - HALF + 4 * CHUNK
        assert Store(self.home / "models").get("tiny").path.read_bytes() == GGUF


@pytest.fixture
def files() -> Iterator[FileServer]:
    with FileServer(GGUF) as server:
        yield server


@pytest.fixture
def alone(home: Path, files: FileServer) -> Setup:
    """No server runs."""
    return Setup(home, files, None)


@pytest.fixture
def served(home: Path, files: FileServer) -> Iterator[Setup]:
    """A server runs."""
    with RunningServer(home) as server:
        yield Setup(home, files, server)


@pytest.fixture(params=["alone", "served"])
def setup(request: pytest.FixtureRequest) -> Setup:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Setup)
    return found


# ── what it prints ──────────────────────────────────────────────────────────


def test_a_pull_says_the_licence_how_far_it_is_and_what_came(setup: Setup) -> None:
    setup.files.trouble.pause_s = 0.0005
    done = setup.pull("--name", "mine:v1")
    assert done.returncode == 0
    assert re.fullmatch(r"mine:v1: 4\.1 MB, licence not stated, \S+\n", done.stdout)
    assert done.stderr.startswith(LICENCE)
    assert re.search(r"^Downloading: \d+ % \(\S+ \SB of 4\.1 MB\)$", done.stderr, re.MULTILINE)
    again = setup.pull("--name", "mine:v1")
    assert again.stdout == done.stdout
    assert setup.server is None or setup.states() == ["done", "done"]


def test_json_is_a_line_an_event(setup: Setup) -> None:
    done = setup.pull("--json")
    assert (done.returncode, done.stderr) == (0, "")
    *progress, last = map(json.loads, done.stdout.splitlines())
    assert {one["event"] for one in progress} == {"progress"}
    assert any(one["note"].startswith(LICENCE) for one in progress)
    assert (last["event"], last["name"], last["size"]) == ("done", "tiny:latest", len(GGUF))


def test_an_error_is_the_same_with_and_without_a_server(setup: Setup) -> None:
    done = setup.pull(pin="0" * 64)
    assert (done.returncode, done.stdout) == (DigestMismatch.exit_code, "")
    assert "noibo: " in done.stderr
    assert "Traceback" not in done.stderr
    lines = setup.pull("--json", pin="0" * 64)
    assert lines.returncode == DigestMismatch.exit_code
    last = json.loads(lines.stdout.splitlines()[-1])
    assert (last["event"], last["code"]) == ("error", "digest_mismatch")
    assert f"noibo: {last['message']}\n       {last['next_step']}\n" in lines.stderr


@pytest.mark.heavy
def test_commands_print_the_same_with_and_without_a_server(
    alone: Setup, tmp_path: Path, files: FileServer
) -> None:
    other = tmp_path / "other" / "home"
    own = tmp_path / "own.gguf"
    own.write_bytes(GGUF)
    write(tmp_path / "disk" / "x.gguf", model("x"))
    commands = [
        ["pull", alone.address()],
        ["add", str(own)],
        ["list", "--json"],
        ["show", "own", "--json"],
        ["store", "check"],
        ["rm", "tiny"],
        ["catalog", "llama3"],
        ["search", "vistral", "--catalogue-only"],
        ["import", str(tmp_path / "disk"), "--json"],
        ["import", str(tmp_path / "nowhere")],
    ]

    def said(home: Path) -> list[tuple[int, str]]:
        found = []
        for command in commands:
            done = run_noibo(*command, home=home)
            text = done.stdout + (done.stderr if done.returncode else "")
            text = re.sub(r'"added_at": [\d.]+|\d\d:\d\d|[\d.]+ GB free', "…", text)
            found.append((done.returncode, text.replace(str(home), "HOME")))
        return found

    without = said(alone.home)
    with RunningServer(other) as server:
        assert said(other) == without
        with server.client() as client:
            assert [pull.state for pull in client.pulls()] == ["done"]
    assert [code for code, _ in without] == [0] * 9 + [3]


# ── who does it ─────────────────────────────────────────────────────────────


def test_without_a_server_none_is_left_behind(alone: Setup, no_process_left: str) -> None:
    assert alone.pull().returncode == 0
    assert not (alone.home / "server.json").exists()


def test_a_command_with_other_settings_does_not_use_the_servers(served: Setup) -> None:
    offline = served.pull(NOIBO_OFFLINE="1")
    assert offline.returncode == EgressRefused.exit_code
    strict = served.pull(NOIBO_LICENCES_ALLOWED="permissive")
    assert strict.returncode == LicenceRefused.exit_code
    elsewhere = served.pull(NOIBO_STORE_PATH=str(served.home / "elsewhere"))
    assert f"{served.home}/elsewhere/blobs" in elsewhere.stdout
    token = served.pull(HF_TOKEN="hf_secret")
    assert token.returncode == 0
    assert served.states() == []
    assert "hf_secret" not in (served.home / "server.json").read_text()
    assert served.pull().returncode == 0
    assert served.states() == ["done"]


def test_a_path_is_meant_from_where_one_stands(served: Setup, tmp_path: Path) -> None:
    (tmp_path / "near.gguf").write_bytes(GGUF)
    done = subprocess.run(
        [sys.executable, "-m", "noibo", "pull", "./near.gguf"],
        env=clean_environment(served.home),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"near:latest: 4.1 MB, licence not stated, {tmp_path}/near.gguf\n" == done.stdout
    assert served.states() == ["done"]


def test_serve_fetches_first_if_told_to(home: Path, files: FileServer) -> None:
    setup = Setup(home, files, None)
    with RunningServer(home, setup.address(), "--fetch") as server, server.client() as client:
        assert client.models() == ["tiny:latest"]


# ── stopping and going on ───────────────────────────────────────────────────


def test_ctrl_c_on_a_terminal_stops_the_download_and_keeps_it(setup: Setup) -> None:
    setup.files.lift(HALF)
    near, far = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "pull", setup.address()],
        env=clean_environment(setup.home) | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=far,
        stdout=far,
        stderr=far,
    )
    os.close(far)
    setup.until_half()
    os.write(near, b"\x03")
    seen = screen(near)
    assert process.wait(30) == 130
    assert "Downloading" in seen
    assert "Stopped. What is here is kept; the same command goes on" in seen
    assert "Traceback" not in seen
    if setup.server is not None:
        assert setup.states() == ["cancelled"]
    setup.assert_the_rest_is_fetched()


def screen(near: int) -> str:
    """All that is written to a terminal until its program has ended."""
    seen = b""
    while True:
        try:
            data = os.read(near, 65536)
        except OSError:  # Linux says so at the end of a terminal
            break
        if not data:
            break
        seen += data
    os.close(near)
    return seen.decode(errors="replace")  # Ctrl-C throws away what is not yet shown


def test_ctrl_c_before_anything_is_known_stops_the_servers_pull(served: Setup) -> None:
    served.files.trouble.mute = set(range(1, 99))
    process = subprocess.Popen(
        [sys.executable, "-m", "noibo", "pull", served.address()],
        env=clean_environment(served.home),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: bool(served.files.requests), "it asks for the file")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.endswith("the same command goes on where it stopped.\n")
    served.files.stopped.set()  # those who wait for an answer get none
    until(lambda: served.states() == ["cancelled"], "the server's pull has ended")


def test_ctrl_c_is_held_until_there_is_something_to_stop_and_a_second_is_not() -> None:
    with pytest.raises(KeyboardInterrupt), HeldInterrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        reached = True
        interrupt.let_go()
        reached = False
    assert reached
    with pytest.raises(KeyboardInterrupt), HeldInterrupt():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        reached = False
    assert reached
    with HeldInterrupt() as interrupt:
        interrupt.let_go()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_does_not_stop_what_somebody_else_waits_for(served: Setup) -> None:
    first = served.begin()
    second = served.begin()
    assert served.server is not None
    with served.server.client() as client:
        until(lambda: client.pulls()[0].watchers == 2, "both watch it")
        second.send_signal(signal.SIGINT)
        _, err = second.communicate(timeout=30)
        assert second.returncode == 130
        assert "it goes on without you" in err
        assert [one.state for one in client.pulls()] == ["running"]
    served.files.lift()
    out, _ = first.communicate(timeout=30)
    assert (first.returncode, out[:13]) == (0, "tiny:latest: ")
    assert served.files.sent == len(GGUF)


def test_killing_the_command_ends_its_own_download(alone: Setup) -> None:
    process = alone.begin()
    process.kill()
    process.communicate(timeout=30)
    alone.files.until_idle()
    alone.assert_the_rest_is_fetched()


def test_killing_the_command_does_not_end_the_servers_download(served: Setup) -> None:
    process = served.begin()
    process.kill()
    process.communicate(timeout=30)
    served.files.lift()
    until(lambda: served.states() == ["done"], "the server has it")
    assert served.files.sent == len(GGUF)


def test_killing_the_server_is_said_and_the_same_command_goes_on_alone(served: Setup) -> None:
    process = served.begin()
    assert served.server is not None
    os.kill(served.server.process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == ServerUnreachable.exit_code
    assert "has gone away; what is here is kept" in err
    assert "The same command goes on" in err
    served.server.process.wait(30)
    served.assert_the_rest_is_fetched()
