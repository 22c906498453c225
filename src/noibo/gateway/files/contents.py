"""What is in files: one folder, each content under its file's id.

A content is written under another name (`ID.part`), which its writer has locked. When it is whole
its row is written, and then it gets its name. So whatever a kill leaves behind is a part that
nobody has locked: with a row it is whole and gets its name, without one it goes.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from noibo.database.seal import Seal, SealKey
from noibo.database.sealed_file import SealedWriter, key_of, open_file
from noibo.errors import DatabaseError, DiskFull, NoiboError

if sys.platform != "win32":
    import fcntl

PARTIAL: Final = ".part"
_AT_A_TIME: Final = 100
_UNLOCKABLE_FOR_S: Final = 3600.0  # where files cannot be locked: how long a part is left alone


class Contents:
    """The folder. All of it off the event loop."""

    def __init__(self, folder: Path, seal: Seal | None = None) -> None:
        self.folder = folder
        self.seal = seal or Seal()

    def path(self, name: str) -> Path:
        """Where a whole content lies. Only ever an id of ours."""
        return self.folder / name

    def find(self, name: str) -> Path | None:
        """A content whose row is there; if it has not got its name yet, it gets it."""
        path = self.path(name)
        if not path.is_file():
            with contextlib.suppress(OSError):
                self.name(name)
        return path if path.is_file() else None

    def open(self, path: Path) -> BinaryIO:
        """A whole content, to be read; opened where it is sealed."""
        return open_file(path, self.seal)

    def create(self, name: str) -> Incoming:
        """Begin a new content. Raises `DiskFull` or `DatabaseError`."""
        return Incoming.create(self.folder, name, self.seal.first)

    def reseal(self, name: str) -> bool:
        """Write a content again as new ones are written; false where it is so already, or is not
        there. Raises `DiskFull`, `DatabaseError`."""
        path = self.find(name)
        if path is None:
            return False
        fresh = _other(path)
        with _written(self.folder):
            if key_of(path) == (self.seal.first.name if self.seal.first else ""):
                return False
            with self.open(path) as old, fresh.open("wb") as file:
                fresh.chmod(0o600)
                writer = SealedWriter(file, self.seal.first) if self.seal.first else file
                while data := old.read(2**20):
                    writer.write(data)
                if isinstance(writer, SealedWriter):
                    writer.finish()
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        return True

    def name(self, name: str) -> None:
        """Give a whole content its name, unless somebody has."""
        try:
            _part(self.path(name)).replace(self.path(name))
        except FileNotFoundError:
            if not self.path(name).is_file():
                raise

    def drop(self, name: str) -> None:
        """Take a part away."""
        _part(self.path(name)).unlink(missing_ok=True)
        _other(self.path(name)).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Take a content away, whole or not."""
        self.path(name).unlink(missing_ok=True)
        self.drop(name)

    def left_behind(self) -> list[Incoming]:
        """Some of the parts on which nobody works any more, each locked by who asks for it."""
        if not self.folder.is_dir():
            return []
        found = (_adopted(path) for path in self.folder.glob(f"*{PARTIAL}"))
        return list(itertools.islice(filter(None, found), _AT_A_TIME))


class Incoming:
    """A content on its way in. `settle` when it is whole; `end`, or `abandon`, in any case."""

    def __init__(
        self, folder: Path, name: str, file: BinaryIO, writer: SealedWriter | None = None
    ) -> None:
        self.id = name
        self._writer = writer
        self.size = 0
        self.given = False  # to who ends it
        self._folder = folder
        self._file = file

    @classmethod
    def create(cls, folder: Path, name: str, key: SealKey | None = None) -> Incoming:
        """Begin, sealed where there is a key. Raises `DiskFull` or `DatabaseError`."""
        part = _part(folder / name)
        with _written(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            while True:
                handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                file = os.fdopen(handle, "wb")
                with contextlib.suppress(OSError):  # some folders have no locks
                    _lock(handle)
                if part.exists():
                    return cls(folder, name, file, SealedWriter(file, key) if key else None)
                file.close()  # swept away before it was locked

    def write(self, data: bytes) -> None:
        """More of it. Off the event loop."""
        with _written(self._folder):
            (self._writer or self._file).write(data)
        self.size += len(data)

    def settle(self) -> None:
        """It is whole, and on the disk. Off the event loop."""
        with _written(self._folder):
            if self._writer is not None:
                self._writer.finish()
                self._writer = None
            self._file.flush()
            os.fsync(self._file.fileno())

    def end(self) -> None:
        """Nobody works on it any more. Off the event loop."""
        with contextlib.suppress(OSError):
            self._file.close()

    def abandon(self) -> None:
        """Nothing of it is wanted. Off the event loop."""
        with contextlib.suppress(OSError):
            _part(self._folder / self.id).unlink(missing_ok=True)
        self.end()


def _part(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def _other(path: Path) -> Path:
    """Where a content is written again; a kill leaves it, and the next time it is begun anew."""
    return path.with_name(path.name + ".reseal")


def _lock(handle: int, *, wait: bool = True) -> None:
    """The lock of this open file, which ends with it. Raises `BlockingIOError` where another has
    it and is not waited for."""
    if sys.platform == "win32":
        raise OSError(errno.ENOLCK, "no such locks")
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _adopted(part: Path) -> Incoming | None:
    """A part that nobody has locked; or, where files have no locks, an old one."""
    try:
        file = part.open("r+b")
    except OSError:
        return None  # it has got its name meanwhile
    try:
        _lock(file.fileno(), wait=False)
        left = part.exists()
    except BlockingIOError:
        left = False
    except OSError:
        left = time.time() - os.fstat(file.fileno()).st_mtime > _UNLOCKABLE_FOR_S
    if left:
        return Incoming(part.parent, part.name.removesuffix(PARTIAL), file)
    file.close()
    return None


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _unwritten(exc, folder) from exc


def _unwritten(exc: OSError, folder: Path) -> NoiboError:
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            f"The disk of {folder} is full.",
            next_step="Make room and upload it again: nothing of it was kept.",
        )
    return DatabaseError(
        f"Nothing can be written to {folder}: {exc.strerror}.",
        next_step="Mend its permissions, or name another folder: NOIBO_HOME.",
    )
