"""Programs that end with us, as the system sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from noibo import settings
from noibo.engines.environments.bound import Bound

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
# Starts another, says its number, and waits; the other does too.
PARENT = """
import subprocess, sys, time
program = [sys.executable, "-c", "import time; time.sleep(600)"]
other = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(other.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""
# One of us, who is killed while a program of its runs.
KEEPER = """
import sys
from noibo import settings
from noibo.engines.environments.bound import Bound
command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
with Bound(command, settings.bare_environment()) as bound:
    for line in bound.lines():
        print(line, flush=True)
"""


def parent(seconds: str) -> list[str]:
    return [sys.executable, "-c", PARENT, seconds]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_leaves_ends_it_with_all_that_it_started() -> None:
    with pytest.raises(KeyboardInterrupt), Bound(parent("600"), settings.bare_environment()) as it:
        other = int(next(iter(it.lines())))
        raise KeyboardInterrupt
    eventually(lambda: gone(other))


def test_what_it_left_running_is_ended_after_it() -> None:
    with Bound(parent("0"), settings.bare_environment()) as bound:
        (line,) = bound.lines()
        assert bound.code == 0  # it has ended, the other has not
        other = int(line)
        assert not gone(other)
    eventually(lambda: gone(other))


def test_its_patience_ends() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    bound = Bound(command, settings.bare_environment())
    with pytest.raises(subprocess.TimeoutExpired), bound:
        bound.said(0.2)


def test_what_it_says_and_how_it_ended(tmp_path: Path) -> None:
    program = "import os, sys; print(os.getcwd()); sys.exit(3)"
    with Bound([sys.executable, "-c", program], settings.bare_environment(), tmp_path) as bound:
        assert bound.said(60).strip() == str(tmp_path)
    assert bound.code == 3


def test_it_ends_when_we_are_killed() -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    pid = int(keeper.stdout.readline())
    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    keeper.stdout.close()
    eventually(lambda: gone(pid))
