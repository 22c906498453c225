"""A real noibo server in a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from noibo import Client

PATIENCE_S = 60.0


class RunningServer:
    """`noibo serve --port 0`, and what tests want to know of it."""

    def __init__(
        self, home: Path, *arguments: str, wrapper: tuple[str, ...] = (), **environ: str
    ) -> None:
        self.home = home
        self._arguments = arguments
        self._wrapper = wrapper
        self._environ = environ
        self.log = home.parent / "server.log"
        self.url = ""

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._wrapper,
                    sys.executable,
                    "-m",
                    "noibo",
                    "serve",
                    "--port",
                    "0",
                    *self._arguments,
                ],
                env=clean_environment(self.home) | self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("noibo is serving on "):
                self.url = line.split()[-1]
                return self
        self.process.stdout.close()
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        """The server's own process, under whatever wraps it."""
        with self.client() as client:
            return client.status().pid

    def client(self) -> Client:
        return Client(self.url)

    def load(self, model: str) -> None:
        """Make sure that the model is loaded."""
        with self.client() as client:
            client.chat("Hi", model, max_tokens=1)

    def workers(self) -> list[psutil.Process]:
        with self.client() as client:
            return [psutil.Process(row.pid) for row in client.workers() if row.pid]


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without the user's noibo settings, with a home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NOIBO_")}
    if offline_suite():
        kept["NOIBO_OFFLINE"] = "1"
    if "PYTEST_XDIST_WORKER" in kept:  # several engines on few cores wait for each other's threads
        kept["NOIBO_ENGINE_THREADS"] = "1"
    return kept | {"NOIBO_HOME": str(home)}


def offline_suite() -> bool:
    """True where the whole suite runs offline, watched: `tests.watch.offline_suite`."""
    return os.environ.get("OFFLINE_SUITE") == "1"


def until(true: Callable[[], bool], what: str, patience: float = PATIENCE_S) -> None:
    """Wait until something holds; fail with its name when it never does."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)


def run_noibo(
    *arguments: str, home: Path, stdin: str | None = None, timeout: float = 120, **environ: str
) -> subprocess.CompletedProcess[str]:
    """`noibo …` as a user types it, not on a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "noibo", *arguments],
        env=clean_environment(home) | environ,
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
