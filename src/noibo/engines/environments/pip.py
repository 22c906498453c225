"""pip, run for an environment: as the user has set it, without a shell, listened to, and ended with
all that it started when nobody wants it any more."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from noibo import settings
from noibo.engines.environments.environment import interpreter_of
from noibo.engines.environments.pip_words import Step, failure, read
from noibo.errors import EngineError

LINES_KEPT: Final = 60
_TELLS_BYTES: Final = (24, 1)  # pip's version since which it writes its progress for programs
_SERVES_OTHERS: Final = (22, 3)  # since which it installs into another environment
# Options of the user's that lead somewhere else than where it was told to install.
_ELSEWHERE: Final = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_LOG")
_NOISE: Final = ("PIP_QUIET", "PIP_VERBOSE", "PIP_PROGRESS_BAR", "PIP_NO_INPUT")
_PATIENCE_S: Final = 60.0

Tell = Callable[[Step], None]


class Pip:
    """Installs into the environment at `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = _version() >= _SERVES_OTHERS
        self._step = Step("find")

    def make(self) -> None:
        """Make the environment, with a pip in it only where noibo's own cannot serve it. Raises
        `EngineError`."""
        without = ["--without-pip"] if self._own else []
        python = settings.python_executable()
        try:
            done = subprocess.run(
                [python, "-P", "-m", "venv", *without, str(self._folder)],
                env=settings.bare_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as exc:
            raise EngineError(f"{python} could not be run: {exc}.") from exc
        if done.returncode or not interpreter_of(self._folder).exists():
            error = EngineError(
                "No environment could be made for the engine.",
                next_step="On Debian and Ubuntu: `apt install python3-venv`.",
            )
            error.lines = "\n" + done.stdout.strip()[-500:]
            raise error

    def install(
        self,
        packages: Sequence[str],
        options: Sequence[str],
        variables: Mapping[str, str],
        tell: Tell,
    ) -> None:
        """Install packages. Raises `FetchError`, `DigestMismatch` or `DiskFull`."""
        shows = _version() >= _TELLS_BYTES and self._own
        bar = "raw" if shows else "off"
        words = ["install", "--no-input", "--progress-bar", bar, "--disable-pip-version-check"]
        lines: deque[str] = deque(maxlen=LINES_KEPT)
        with _Running([*self._pip(), *words, *options, *packages], self._set(variables)) as pip:
            for line in pip.lines():
                self._step = read(line, self._step)
                if not line.startswith("Progress "):
                    lines.append(line)
                if self._step.what:
                    tell(self._step)
            if pip.code:
                raise failure(packages[0], list(lines))

    def uninstall(self, packages: Sequence[str]) -> None:
        """Take packages away; those that are not there are passed over."""
        words = ["uninstall", "--yes", "--disable-pip-version-check"]
        with _Running([*self._pip(), *words, *packages], self._set({})) as pip:
            lines = list(pip.lines())
            if pip.code:
                raise failure(packages[0], lines)

    def version_of(self, package: str) -> str:
        """The version that is installed; empty where it is not."""
        plain = re.sub(r"[-_.]+", "_", package).lower()
        for found in importlib.metadata.distributions(path=[str(one) for one in self._site()]):
            if re.sub(r"[-_.]+", "_", found.metadata["Name"] or "").lower() == plain:
                return found.version
        return ""

    def _site(self) -> Iterator[Path]:
        yield from self._folder.glob("lib/python*/site-packages")
        yield from self._folder.glob("Lib/site-packages")

    def _pip(self) -> list[str]:
        there = str(interpreter_of(self._folder))
        if not self._own:
            return [there, "-P", "-m", "pip"]
        return [settings.python_executable(), "-P", "-m", "pip", "--python", there]

    def _set(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The user's environment (indexes, proxy, compiler), with room for what pip unpacks beside
        the environment: the same disk, and gone with it."""
        room = self._folder.parent / "unpacked"
        room.mkdir(exist_ok=True)
        passed = (*_ELSEWHERE, *_NOISE, "PYTHONPATH", "PYTHONHOME")
        whole = {k: v for k, v in settings.full_environment().items() if k not in passed}
        return whole | {"TMPDIR": str(room), "PYTHONUNBUFFERED": "1"} | dict(variables)


class _Running:
    """A process that is gone when this is left, with all that it started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self.code: int | None = None

    def __enter__(self) -> _Running:
        try:
            self._process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for us: we end it
            )
        except OSError as exc:
            raise EngineError(f"pip could not be run: {exc}.") from exc
        return self

    def lines(self) -> Iterator[str]:
        """All that it says, as it says it; then its exit code is known."""
        assert self._process.stdout is not None  # noqa: S101 - we asked for the pipe
        for line in self._process.stdout:
            yield line.rstrip("\r\n")
        self.code = self._process.wait(_PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._end()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _end(self) -> None:
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                for one in psutil.Process(self._process.pid).children(recursive=True):
                    one.kill()
                self._process.kill()
        except (ProcessLookupError, PermissionError, psutil.Error):
            self._process.kill()
        self._process.wait()


def _version() -> tuple[int, ...]:
    """Of the pip beside noibo; (0,) where there is none, as in environments made by uv."""
    try:
        said = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(one) for one in re.findall(r"\d+", said)[:2])
