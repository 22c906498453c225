"""`noibo top`: frames that fit a terminal, and the live view on a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.cli.top_frame import Rates, Reading, frame
from noibo.wire.management import AnsweringRow, QueueRow, WaitingRow, WorkerRow
from tests.running import RunningServer, clean_environment, run_noibo, until

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\r")
ON_A_TERMINAL = (
    "import os, sys; os.login_tty(0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'noibo', 'top', '--interval', '0.2'])"
)


def worker(number: int, **changed: object) -> WorkerRow:
    row = {
        "model": f"hf.co/someone/a-model-with-a-long-name-{number}-GGUF:Q4_K_M",
        "verb": "generate",
        "engine": "llama_cpp",
        "state": "ready",
        "note": "",
        "pid": 1000 + number,
        "requests": 3,
        "slots": 4,
        "slots_busy": 3,
        "started_at": 0.0,
        "ready_at": 1.0,
        "used_at": 2.0,
        "keep_until": 400.0,
        "pinned": False,
        "memory_bytes": 6_400_000_000,
        "peak_bytes": 12_800_000_000,
        "predicted_bytes": 650_000_000,
        "tokens_in": 1000,
        "tokens_reused": 400,
        "tokens_out": 500,
        "placement": {"device": "cpu"},
    }
    return WorkerRow(**(row | changed))  # type: ignore[arg-type]


def reading(at: float, workers: list[WorkerRow], waiting: int = 0) -> Reading:
    def waits(place: int) -> WaitingRow:
        return WaitingRow(
            model="hf.co/someone/a-model-with-a-long-name-1-GGUF:Q4_K_M",
            caller="2001:0db8:85a3:0000:0000:8a2e:0370:7334",
            priority="interactive",
            place=place,
            why="loading",
            waited_s=100_000.0,
            expected_s=None if place % 2 else 90_000.0,
        )

    queue = QueueRow(
        waiting=[waits(place) for place in range(1, waiting + 1)],
        answering=[AnsweringRow(model="m", caller="local", priority="batch", for_s=1.0)],
        longest=512,
        budget_bytes=16_000_000_000,
        held_bytes=12_000_000_000,
    )
    return Reading(at, "http://127.0.0.1:11500", workers, queue)


# ── a frame ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [0, 1, 5, 40])
@pytest.mark.parametrize("waiting", [0, 1, 5, 500])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (80, 10)])
def test_a_frame_fits_its_terminal(workers: int, waiting: int, width: int, height: int) -> None:
    rows = [worker(number) for number in range(workers)]
    lines = frame(reading(1.0, rows, waiting), None, width, height)
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width
    text = "\n".join(map(str, lines))
    assert text.count("6.4G") <= workers
    if workers + waiting > height:
        assert "more" in text
    if height == 60 and workers <= 5 and waiting <= 5:
        assert text.count("6.4G") == workers
        assert text.count("loading") == waiting


def test_rates_are_what_the_counters_moved() -> None:
    before = worker(1)
    now = worker(1, tokens_in=1900, tokens_reused=700, tokens_out=540)
    assert Rates.between(now, before, 2.0) == Rates(300.0, 20.0, 700 / 1900)
    (row,) = [str(li) for li in frame(reading(3.0, [now]), reading(1.0, [before]), 80, 24)][5:6]
    assert row.split()[-5:-1] == ["650M", "300", "20.0", "37%"]


def test_a_fresh_worker_of_the_same_model_has_no_rates_yet() -> None:
    assert Rates.between(worker(2), worker(1), 2.0) == Rates(None, None, 0.4)
    assert Rates.between(worker(1), None, 2.0).written is None


def test_two_workers_of_one_model_are_told_apart_by_what_they_do() -> None:
    def both(at: float, moved: int) -> Reading:
        chats = worker(1, model="m", tokens_in=1000 + moved)
        embeds = worker(2, model="m", verb="embed", tokens_in=500, tokens_reused=0)
        return reading(at, [chats, embeds])

    lines = [line.plain for line in frame(both(2.0, 100), both(1.0, 0), 120, 40)]
    (chats,) = [line for line in lines if line.startswith("m ") and "(embed)" not in line]
    (embeds,) = [line for line in lines if line.startswith("m (embed)")]
    assert " 100 " in chats
    assert " 0 " in embeds


def test_how_long_a_model_stays_is_shown() -> None:
    rows = [
        worker(1, requests=0),
        worker(2, requests=0, keep_until=None),
        worker(3, pinned=True),
        worker(4),
        worker(5, requests=0, state="starting", keep_until=None),
    ]
    lines = [str(line) for line in frame(reading(100.0, rows), None, 80, 24)][5:]
    assert [line.split()[-1] for line in lines] == ["5m", "ever", "pin", "busy", "ever"]
    assert lines[4].split()[1] == "loads"


# ── the command ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("top") / "home") as server:
        server.load("echo")
        yield server


@pytest.mark.parametrize("arguments", [["--once"], []])
def test_off_a_terminal_one_frame_is_printed(
    one_server: RunningServer, arguments: list[str]
) -> None:
    done = run_noibo("top", "--interval", "0.1", *arguments, home=one_server.home)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"noibo on {one_server.url}"
    assert lines[2].startswith("1 loaded, 0 answering, 0 waiting")
    (row,) = (line.split() for line in lines if line.startswith("echo"))
    assert row[1:3] == ["ready", "0/4"]
    assert row[-4:-2] == ["0", "0.0"]


def test_without_a_server_top_says_so(home: Path, port: int) -> None:
    done = run_noibo("top", "--once", home=home, NOIBO_SERVER_PORT=str(port))
    assert (done.returncode, done.stdout) == (9, "")
    assert "No noibo server answers" in done.stderr


class Screen:
    """`noibo top` on a terminal of 80 × 24."""

    def __init__(self, home: Path) -> None:
        self._master, inside = pty.openpty()
        termios.tcsetwinsize(inside, (24, 80))
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL],
            env=clean_environment(home) | {"TERM": "xterm"},
            stdin=inside,
            stdout=inside,
            stderr=inside,
        )
        os.close(inside)

    def expect(self, text: str) -> None:
        """Read until `text` comes anew."""
        seen, deadline = b"", time.monotonic() + 60
        while text not in ESCAPES.sub("", seen.decode(errors="ignore")):
            assert time.monotonic() < deadline, f"{text!r} did not come: {seen!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                seen += os.read(self._master, 65536)

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def ended(self) -> bool:
        if select.select([self._master], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                os.read(self._master, 65536)
        return self.process.poll() is not None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.mark.heavy
def test_the_live_view_outlives_its_server(home: Path) -> None:
    with RunningServer(home) as server:
        server.load("echo")
        screen = Screen(home)
        try:
            screen.expect("1 loaded, 0 answering")
            server.__exit__()
            screen.expect("waiting for one")
            with RunningServer(home):
                screen.expect("0 loaded, 0 answering")
        finally:
            screen.close()


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("\x03", 130)], ids=["q", "Ctrl-C"])
def test_a_key_ends_the_live_view(one_server: RunningServer, key: str, code: int) -> None:
    screen = Screen(one_server.home)
    try:
        screen.expect("1 loaded, 0 answering")
        screen.press(key)
        until(screen.ended, "it has ended")
        assert screen.process.returncode == code
    finally:
        screen.close()
