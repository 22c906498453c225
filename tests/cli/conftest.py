"""What the tests of commands stand on: a free port, and a mark that every process of a test has."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import until


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port, where `noibo` in this test looks for a server and starts one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = int(probe.getsockname()[1])
    monkeypatch.setenv("NOIBO_SERVER_PORT", str(number))
    return number


@pytest.fixture
def no_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Fails a test that leaves a process behind, however far from its parents.

    PATH is the one variable that even a worker inherits: it carries the test's mark.
    """
    mark = str(tmp_path / "mark")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{mark}")
    yield mark
    until(lambda: not marked(mark), f"nothing is left of {mark}", patience=20)


def marked(mark: str) -> list[psutil.Process]:
    """The processes of one test, except the one that runs it."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and mark in process.environ().get("PATH", ""):
                found.append(process)
        except psutil.Error:
            continue
    return found
