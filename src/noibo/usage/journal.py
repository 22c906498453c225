"""Calls on their way into the database: lines in a file, which a process that is killed leaves.

A line is appended by one system call into the page cache of the system, which outlives the process
but not a power cut; it waits for no disk. What has been brought into the database is removed. One
process writes files of its own, under a lock that ends with it: what lies there without one is a
dead one's, and whoever comes next brings it in. Nobody can bring a line in twice: its id is a key.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from filelock import FileLock, Timeout
from msgspec import structs

from noibo.usage.entry import UsageEntry

log = logging.getLogger(__name__)

_MOST_HELD: Final = 10_000  # lines in memory where the disk takes none
_LATEST: Final = 1e11  # seconds; dates end before
_LINE: Final = msgspec.json.Decoder(UsageEntry)
_SUFFIX: Final = ".jsonl"


def packed(entry: UsageEntry | Mapping[str, Any]) -> bytes:
    """An entry, or the fields of one, as a line. Half a sign, as JSON can write one, becomes a
    question mark."""
    try:
        return msgspec.json.encode(entry) + b"\n"
    except UnicodeEncodeError:
        told = entry if isinstance(entry, Mapping) else structs.asdict(entry)
        return msgspec.json.encode({name: _whole(said) for name, said in told.items()}) + b"\n"


def unpacked(text: bytes) -> list[UsageEntry]:
    """The entries of a file. A last line that is not whole was never answered for; one that cannot
    be read is passed over, and said."""
    found = []
    for line in text.split(b"\n")[:-1]:
        try:
            entry = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if line:
                log.error("a line of the journal of usage cannot be read: %s", error)
            continue
        if 0 <= entry.at < _LATEST:
            found.append(entry)
        else:
            log.error("a line of the journal of usage is of no time: %g", entry.at)
    return found


def _whole(said: Any) -> Any:
    if isinstance(said, tuple):
        return tuple(map(_whole, said))
    return said.encode(errors="replace").decode() if isinstance(said, str) else said


class Journal:
    """One process's files in a folder. `append` is for the hot path, all else for other threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = secrets.token_hex(8)
        self._own: FileLock | None = None
        self._file: io.FileIO | None = None
        self._path = folder
        self._written = 0  # lines of the file that is open
        self._closed: list[Path] = []
        self._number = 0
        self._held: list[bytes] = []  # that could not be written
        self._lost = 0
        self._turn = threading.Lock()

    def append(self, entry: UsageEntry | Mapping[str, Any]) -> None:
        """Keep a call, or one by its fields: when this returns, no end of this process loses it."""
        line = packed(entry)
        with self._turn:
            try:
                file = self._file or self._opened()
                # Unbuffered, so that nothing of it waits in this process.
                if file.write(line) != len(line):
                    raise OSError("the disk took a part of a line")
                self._written += 1
            except OSError as error:
                self._hold(line, error)

    def ready(self) -> None:
        """A file is open, so that `append` need not open one where nobody may wait for a disk."""
        with self._turn, contextlib.suppress(OSError):  # `append` finds it again, and says it
            if self._file is None:
                self._opened()

    def sync(self) -> None:
        """What was appended is on the disk when this returns."""
        with self._turn:
            if self._file is not None:
                os.fsync(self._file.fileno())

    def closed(self, *, goes_on: bool = False) -> list[Path]:
        """The files of this process that are written to no more; what comes now goes to another,
        which is open by then where it `goes_on`."""
        with self._turn:
            if self._written or not goes_on:
                self._close_file()
            if goes_on and self._file is None:
                with contextlib.suppress(OSError):
                    self._opened()
            return list(self._closed)

    def remove(self, path: Path) -> None:
        """What is in a file has been brought in."""
        path.unlink(missing_ok=True)
        with self._turn:
            self._closed = [one for one in self._closed if one != path]

    def held(self) -> list[bytes]:
        """Lines that are in memory alone, as the disk took none; they are not, from now on."""
        with self._turn:
            lines, self._held = self._held, []
            return lines

    def hold_again(self, lines: Iterable[bytes]) -> None:
        """They could not be brought in."""
        with self._turn:
            self._held = [*lines, *self._held][:_MOST_HELD]

    def left(self) -> list[tuple[FileLock, list[Path]]]:
        """Files of processes that ended without bringing them in, each under its lock now, which
        `forget` lets go of."""
        found = []
        for lock in self._locks():
            own = f"{lock.stem}-*{_SUFFIX}"
            with self._folder_lock():
                held = FileLock(lock, thread_local=False)
                try:
                    held.acquire(blocking=False)
                except Timeout:
                    continue  # it lives
            found.append((held, sorted(self._folder.glob(own))))
        return found

    def forget(self, lock: FileLock) -> None:
        """A dead process's lock is removed, if its files are."""
        with self._folder_lock():
            path = Path(lock.lock_file)
            lock.release()
            if not any(self._folder.glob(f"{path.stem}-*{_SUFFIX}")):
                path.unlink(missing_ok=True)

    def all(self) -> list[Path]:
        """Every file there is, whosever: to be looked at."""
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def close(self) -> None:
        """Nothing is appended afterwards."""
        with self._turn:
            self._close_file()
        if not self._closed and self._own is not None:
            self.forget(self._own)
        elif self._own is not None:
            self._own.release()
        self._own = None

    def _opened(self) -> io.FileIO:
        if self._own is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._folder_lock():
                own = FileLock(self._folder / f"{self._name}.lock", thread_local=False, mode=0o600)
                own.acquire()
                self._own = own
        self._number += 1
        self._path = self._folder / f"{self._name}-{self._number:08}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = io.FileIO(os.open(self._path, flags, 0o600), "a")
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            if self._written:
                self._closed.append(self._path)
            else:
                self._path.unlink(missing_ok=True)
            self._written = 0

    def _hold(self, line: bytes, error: OSError) -> None:
        self._close_file()  # a half line ends a file: no other may follow it
        if len(self._held) < _MOST_HELD:
            self._held.append(line)
            log.warning("usage is kept in memory, as the journal takes nothing: %s", error)
        else:
            self._lost += 1
            log.error("%d calls are not in the ledger: its journal is full", self._lost)

    def _locks(self) -> list[Path]:
        return [one for one in self._folder.glob("*.lock") if one.stem not in {self._name, "all"}]

    def _folder_lock(self) -> FileLock:
        return FileLock(self._folder / "all.lock", thread_local=False, mode=0o600)
