"""How far an installation is, on standard error: one line that changes on a terminal, a line for
each step elsewhere.

pip says no total, so it is told how much has come, of how many packages where it has looked at all
of them before it fetches the first, and how long that took.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from noibo.cli.amounts import seconds, size
from noibo.modelstore.printable import shown

if TYPE_CHECKING:
    from noibo.engines.environments.pip_words import Step

STAGES: Final = {
    "skip": "Without an index that does not answer:",
    "make": "Making",
    "find": "Looking for",
    "download": "Downloading",
    "cached": "Already here:",
    "build": "Compiling",
    "install": "Installing",
    "try": "Asking for a first answer of",
}
_PACKAGES: Final = frozenset({"download", "cached"})
_WIDTH: Final = 100
_LEAST: Final = 20  # characters of what it is at, however narrow the terminal is
_EVERY_S: Final = 0.2
_AGAIN_S: Final = 30.0  # a line more about the same, where lines stay


class Tally:
    """What has come so far: `files` whole, `bytes` with those of the one that comes. Step by step,
    of one installation."""

    def __init__(self) -> None:
        self.files = 0
        self._names: set[str] = set()
        self._begun = 0
        self._ahead = False  # packages are known before they are fetched: their number is a total
        self._before = self._coming = self._come = 0
        self._at = ("", "")

    @property
    def bytes(self) -> int:
        return self._before + self._come

    def add(self, step: Step) -> None:
        """What it is at now; also the same again."""
        if (step.stage, step.what) != self._at:
            self._over()
            self._at = (step.stage, step.what)
            if step.stage == "find" or step.what.endswith(".whl"):
                self._names.add(_project(step))
            if step.stage in _PACKAGES:
                self._begun += 1
                self._ahead = self._ahead or len(self._names) > self._begun
        if step.stage == "download":
            self._coming, self._come = step.total or 0, step.done or 0

    def _over(self) -> None:
        """What it was at is there."""
        self.files += self._at[0] in _PACKAGES
        self._before += self._coming
        self._coming = self._come = 0

    def __str__(self) -> str:
        """`41 of 57 packages, 1.2 GB`; nothing before there is anything to count."""
        if not self._ahead and not self.files:
            return ""
        known = f" of {max(len(self._names), self.files)}" if self._ahead else ""
        word = "package" if self.files == 1 and not known else "packages"
        return f"{self.files}{known} {word}, {size(self.bytes)}"


class Told:
    """Tells each step. `began`: of the same clock as `now`, in seconds."""

    def __init__(
        self,
        began: float,
        now: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        self._began, self._now = began, now
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._tally = Tally()
        self._said, self._said_at = "", 0.0

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Room on a terminal for something else."""
        if self._live and self._said:
            self._write("\r\x1b[K")
            self._said = ""

    def __call__(self, step: Step) -> None:
        self._tally.add(step)
        what = shown(f"{STAGES.get(step.stage, step.stage)} {_plain(step.what)}".strip(), _WIDTH)
        now, moves = self._now(), self._live or step.done is not None
        pause = _EVERY_S if self._live else _AGAIN_S
        if what == self._said and not (moves and now - self._said_at >= pause):
            return
        self._said, self._said_at = what, now
        more = f"{_far(step)}{self._so_far(step, now - self._began)}"
        if not self._live:
            self._write(f"{what}{more}\n")
            return
        width = shutil.get_terminal_size().columns - 1  # a longer line would stay there
        line = f"{what[: max(width - len(more), _LEAST)]}{more}"
        self._write(f"\r\x1b[K{line[:width]}")

    def _so_far(self, step: Step, took_s: float) -> str:
        """`; 41 of 57 packages, 1.2 GB, 3 min so far`."""
        told = step.stage in _PACKAGES or (self._live and step.stage == "find")
        come = [str(self._tally)] if told and str(self._tally) else []
        if not come and not self._live and not step.done:
            return ""
        return f"; {', '.join([*come, seconds(took_s)])} so far"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _project(step: Step) -> str:
    """Whose it is, as package indexes compare names: `huggingface_hub[torch]`, or a wheel."""
    name = step.what.partition("[" if step.stage == "find" else "-")[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _plain(what: str) -> str:
    """A wheel's name and version: what follows says which systems it is for."""
    return "-".join(what.split("-")[:2]) if what.endswith(".whl") else what


def _far(step: Step) -> str:
    """` (180 MB)`, and in the middle of it ` (45 % of 180 MB)`."""
    if not step.total:
        return ""
    done = f"{100 * step.done // step.total} % of " if step.done else ""
    return f" ({done}{size(step.total)})"
