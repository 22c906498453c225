"""pip, run for an environment: as the user has set it, without a shell, listened to, and ended with
all that it started when nobody wants it any more."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from noibo import settings
from noibo.engines.environments.bound import Bound
from noibo.engines.environments.environment import interpreter_of
from noibo.engines.environments.handed import handed, plain_name
from noibo.engines.environments.pip_words import Step, failure, read, says_full
from noibo.errors import EngineError
from noibo.modelstore.index.pip_settings import PipSettings

LINES_KEPT: Final = 60
_TELLS_BYTES: Final = (24, 1)  # pip's version since which it writes its progress for programs
_SERVES_OTHERS: Final = (22, 3)  # since which it installs into another environment
# Options of the user's that lead somewhere else than where it was told to install.
_ELSEWHERE: Final = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_LOG")
_NOISE: Final = ("PIP_QUIET", "PIP_VERBOSE", "PIP_PROGRESS_BAR", "PIP_NO_INPUT")

Tell = Callable[[Step], None]


class Pip:
    """Installs into the environment at `folder`. `said`: how the user has set pip; `index`: the
    only place it may ask, empty: those of the user."""

    def __init__(self, folder: Path, said: PipSettings, index: str = "") -> None:
        self._folder = folder
        self._told = handed(said, index)
        self._own = _version() >= _SERVES_OTHERS
        self._step = Step("find")

    def make(self) -> None:
        """Make the environment, with a pip in it only where noibo's own cannot serve it. Raises
        `EngineError` or `DiskFull`."""
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
            if says_full(done.stdout):
                raise failure("The environment", done.stdout.splitlines())
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
        command = [*self._pip(), *words, *options, *packages]
        with self._running(command, variables) as pip:
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
        with self._running([*self._pip(), *words, *packages], {}) as pip:
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

    @contextlib.contextmanager
    def _running(self, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Bound]:
        environment = self._set(variables)
        with contextlib.ExitStack() as leaving:
            try:
                bound = leaving.enter_context(Bound(command, environment))
            except OSError as exc:
                raise EngineError(f"pip could not be run: {exc}.") from exc
            yield bound

    def _set(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The user's environment (proxy, compiler) and pip's settings by name, with room for what
        pip unpacks beside the environment: the same disk, and gone with it."""
        room = self._folder.parent / "unpacked"
        room.mkdir(exist_ok=True)
        passed = {*_ELSEWHERE, *_NOISE, *self._told, "PYTHONPATH", "PYTHONHOME"}
        full = settings.full_environment()
        whole = {name: value for name, value in full.items() if plain_name(name) not in passed}
        told = {name: value for name, value in self._told.items() if value}
        return whole | told | {"TMPDIR": str(room), "PYTHONUNBUFFERED": "1"} | dict(variables)


def _version() -> tuple[int, ...]:
    """Of the pip beside noibo; (0,) where there is none, as in environments made by uv."""
    try:
        said = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(one) for one in re.findall(r"\d+", said)[:2])
