"""A program that does not outlive us: in a session of its own, listened to, and ended with all that
it started, whether we leave it, are interrupted or are killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

PR_SET_PDEATHSIG: Final = 1
PATIENCE_S: Final = 60.0
_LIBC: Final[ctypes.CDLL | None] = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_us() -> None:
    """Of a new process, before it becomes the program: the kernel ends it when the thread that
    started it is gone, however that went."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Bound:
    """One run of a program, while it is entered. `code`: its exit code, once it has ended."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> None:
        self._command, self._environment, self._folder = command, environment, folder
        self.code: int | None = None

    def __enter__(self) -> Bound:
        """Raises OSError where it cannot be run."""
        self._process = subprocess.Popen(
            self._command,
            env=dict(self._environment),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us: we end it
            preexec_fn=end_with_us if _LIBC is not None else None,  # noqa: PLW1509 - no lock in it
        )
        return self

    def lines(self) -> Iterator[str]:
        """All that it says, as it says it; then its exit code is known."""
        assert self._process.stdout is not None  # noqa: S101 - we asked for the pipe
        for line in self._process.stdout:
            yield line.rstrip("\r\n")
        self.code = self._process.wait(PATIENCE_S)

    def said(self, within_s: float) -> str:
        """All that it says until it ends. Raises `subprocess.TimeoutExpired`."""
        text, _ = self._process.communicate(timeout=within_s)
        self.code = self._process.returncode
        return text

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _end(self) -> None:
        """What it started too, also where it has ended itself."""
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                for one in psutil.Process(self._process.pid).children(recursive=True):
                    one.kill()
                self._process.kill()
        except (ProcessLookupError, PermissionError, psutil.Error):
            self._process.kill()  # does nothing where it has ended
        self._process.wait()
