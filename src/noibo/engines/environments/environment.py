"""Environments on disk: what is installed, since when it is trusted, and which one is used.

Each is a folder `NOIBO_HOME/engines/NAME` with a virtual environment and a record. It gets there by
being renamed, when it has answered; what has no record was never trusted, and is not used.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from noibo.engines.environments.disk import disk_faults
from noibo.engines.environments.recipe import NAMES, OF_LLAMA_CPP, require_name
from noibo.errors import EngineError, NotFound, StoreError

RECORD: Final = "noibo.json"
_UNFINISHED: Final = ".making-"
_NEW: Final = "new"
_OLD: Final = "old"  # what is put back where its maker was killed
_GONE: Final = "gone"
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class Environment(msgspec.Struct, frozen=True):
    """One that is trusted. `devices` are the GPUs that its engine listed, `rate` the prompt tokens
    it read in a second when it was tried, `trusted_at` seconds since 1970, `bytes` on disk."""

    name: str
    engine: str
    package: str
    version: str
    build: str
    python: str
    trusted_at: float
    devices: tuple[str, ...] = ()
    rate: float | None = None
    bytes: int = 0
    folder: str = ""

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return interpreter_of(Path(self.folder))

    @property
    def usable(self) -> bool:
        """noibo's own modules run in it: what they import was made for one version of Python."""
        return self.python == PYTHON and self.interpreter.exists()

    def __str__(self) -> str:
        return f"{self.name}: {self.package} {self.version} ({self.build})"


def interpreter_of(folder: Path) -> Path:
    """The Python of a virtual environment."""
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return folder.joinpath(*inside)


class Environments:
    """Those below one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "engines"
        self._home = home

    def all(self) -> Sequence[Environment]:
        """All that are trusted."""
        return [found for name in NAMES if (found := self.get(name)) is not None]

    def get(self, name: str) -> Environment | None:
        """The one of that name, if it is trusted."""
        folder = self.folder / name
        try:
            found = msgspec.json.decode((folder / RECORD).read_bytes(), type=Environment)
        except (OSError, ValueError, RecursionError):
            return None
        return msgspec.structs.replace(found, folder=str(folder))

    def for_llama_cpp(self) -> Sequence[Environment]:
        """Builds of llama.cpp that are better than the wheel which came with noibo, the best first:
        those that see a GPU, then one compiled for this processor."""
        found = [one for name in OF_LLAMA_CPP if (one := self.get(name)) and one.usable]
        on_gpus = [one for one in found if one.devices]
        compiled = [one for one in found if one.name == "native"]
        return [*on_gpus, *compiled]

    @contextlib.contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """A folder to make one in; gone at the end, unless it was kept. Raises `EngineError` where
        another process is at it."""
        with self._held(name):
            self._sweep(name)
            folder = self._unfinished(_NEW, name)
            folder.mkdir(0o700)
            try:
                yield folder
            finally:
                _delete(folder)

    def keep(self, made: Path, record: Environment) -> Environment:
        """From now on it is the one of its name; a former one goes."""
        size = sum(one.lstat().st_size for one in made.rglob("*") if not one.is_dir())
        record = msgspec.structs.replace(record, folder="", bytes=size)
        (made / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        target = self.folder / record.name
        with self._set_aside(target, _OLD):
            made.rename(target)
        return msgspec.structs.replace(record, folder=str(target))

    def remove(self, name: str) -> Environment | None:
        """Delete one, trusted or not; what was known of it. Raises `NotFound`, `StoreError`, and
        `EngineError` where another process is at it."""
        with disk_faults(self.folder), self._held(require_name(name)):
            self._sweep(name)
            known, target = self.get(name), self.folder / name
            if not target.exists():
                raise NotFound(
                    f"{name} is not installed.", next_step="`noibo engines list` shows what is."
                )
            with self._set_aside(target, _GONE):
                pass
            return known

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """Alone with the one of that name, among all processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._home / f"engine-{name}.lock", timeout=0):
                yield
        except Timeout:
            raise EngineError(
                f"Another process is installing or removing {name}.",
                next_step="Wait until it has ended; then the same command again.",
            ) from None

    def _unfinished(self, what: str, name: str) -> Path:
        return self.folder / f"{_UNFINISHED}{what}-{name}-{secrets.token_hex(4)}"

    @contextlib.contextmanager
    def _set_aside(self, target: Path, what: str) -> Iterator[None]:
        """Away with what is there, or back with it where the body fails. A rename is at once, and
        needs no room; to delete takes seconds, in which nobody must find half of it."""
        if not target.exists():
            yield
            return
        aside = self._unfinished(what, target.name)
        try:
            target.rename(aside)
        except OSError as exc:
            raise StoreError(
                f"{target} cannot be replaced: {exc.strerror}.",
                next_step="End what runs in it (`noibo stop`), then again.",
            ) from exc
        try:
            yield
        except BaseException:
            aside.rename(target)
            raise
        finally:
            _delete(aside)

    def _sweep(self, held: str) -> None:
        """Delete what was left by a process that was killed in the middle; but what it had set
        aside for a new one that never came is put back. Its lock says whether it lives: a number of
        a process may be another's by now, or of another container's. We are alone with `held`."""
        for folder in self.folder.glob(f"{_UNFINISHED}*"):
            what, _, rest = folder.name.removeprefix(_UNFINISHED).partition("-")
            name = rest.partition("-")[0]
            if name == held:
                self._clear(folder, what, name)
            elif name in NAMES:
                with contextlib.suppress(EngineError), self._held(name):
                    self._clear(folder, what, name)

    def _clear(self, folder: Path, what: str, name: str) -> None:
        if what == _OLD:
            with contextlib.suppress(OSError):  # another one is there by now
                folder.rename(self.folder / name)
        _delete(folder)


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
