"""However a program ends, nothing of its model is left: no process, no folder, no noise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import clean_environment, until

pytestmark = pytest.mark.heavy

LOADED = """
import os, sys, time
from noibo.llm_service import llm_service
llm_service.generate_answer("Hello")
print(llm_service.get_model_info()["pid"], flush=True)
"""
PATIENCE_S = 60


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where workers have their folders: of this test alone."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield place
    monkeypatch.setattr(tempfile, "tempdir", None)


def start(code: str, home: Path) -> subprocess.Popen[str]:
    """The program, when its model is loaded."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", LOADED + code],
        env=clean_environment(home) | {"LLM_MODEL_PATH": "echo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def worker_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> str:
    """What it wrote to its standard error."""
    _, noise = process.communicate(timeout=PATIENCE_S)
    return noise


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("code", ["", "sys.exit(3)"])
def test_an_end_without_a_word_leaves_nothing(code: str, home: Path, folders: Path) -> None:
    process = start(code, home)
    pid = worker_of(process)
    noise = ended(process)
    assert process.returncode == (3 if code else 0)
    assert is_gone(pid)
    assert not list(folders.iterdir())
    assert "Traceback" not in noise, noise


def test_an_uncaught_error_leaves_nothing_and_is_all_that_is_said(
    home: Path, folders: Path
) -> None:
    process = start("raise KeyError('mine')", home)
    pid = worker_of(process)
    noise = ended(process)
    assert noise.count("Traceback") == 1
    assert is_gone(pid)
    assert not list(folders.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_killed_leaves_no_worker(
    number: signal.Signals, home: Path, folders: Path
) -> None:
    process = start("time.sleep(60)", home)
    pid = worker_of(process)
    process.send_signal(number)
    ended(process)
    until(lambda: is_gone(pid), "its worker is gone")


def test_ctrl_c_in_the_middle_of_an_answer_ends_it(home: Path, folders: Path) -> None:
    slow = """
from noibo.engines import lookup
from noibo.engines.engine import Model
from noibo.llm_service import LLMService
lookup.ECHO = Model("echo", "echo", options={"delay_ms": 50, "text": "word " * 3000})
service = LLMService("echo")
import asyncio, threading
asyncio.run(service.load_model())
def watch():
    while not service._room.home.worker.leases:
        time.sleep(0.01)
    print("asked", flush=True)
threading.Thread(target=watch, daemon=True).start()
service.generate_answer("Hello")
"""
    process = start(slow, home)
    pid = worker_of(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    noise = ended(process)
    assert process.returncode in {-signal.SIGINT, 130}
    assert noise.rstrip().endswith("KeyboardInterrupt")
    assert is_gone(pid)
    assert not list(folders.iterdir())


def test_an_end_while_another_model_takes_the_place_leaves_nothing(
    home: Path, folders: Path
) -> None:
    switching = """
import asyncio, threading
from noibo.engines import lookup
from noibo.engines.engine import Model
from noibo.llm_service import LLMService
lookup.ECHO = Model("echo", "echo", options={"delay_ms": 50, "text": "word " * 3000})
service = LLMService("echo")
asyncio.run(service.load_model())
print(service.get_model_info()["pid"], flush=True)
room = service._room
threading.Thread(target=lambda: service.generate_answer("Hello"), daemon=True).start()
while not room.home.worker.leases:
    time.sleep(0.01)
lookup.ECHO = Model("echo", "echo", options={"text": "of the other"})
threading.Thread(target=lambda: asyncio.run(service.load_model()), daemon=True).start()
while room.home is not None:
    time.sleep(0.01)
"""
    process = start(switching, home)
    first, second = worker_of(process), worker_of(process)
    ended(process)
    assert is_gone(first)
    assert is_gone(second)
    assert not list(folders.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_worker_of_its_own(home: Path, folders: Path) -> None:
    forks = """
child = os.fork()
if not child:
    assert not llm_service.is_loaded
    assert llm_service.generate_answer("there") == "there"
    mine = llm_service.get_model_info()["pid"]
    sys.exit(0 if mine else 1)
_, status = os.waitpid(child, 0)
assert llm_service.generate_answer("here") == "here"
print(os.waitstatus_to_exitcode(status), llm_service.get_model_info()["pid"], flush=True)
"""
    process = start(forks, home)
    pid = worker_of(process)
    assert process.stdout is not None
    assert process.stdout.readline() == f"0 {pid}\n"
    noise = ended(process)
    assert "Traceback" not in noise, noise
    assert is_gone(pid)
    assert not list(folders.iterdir())
