"""Writing files so that a full disk, a crash or a second noibo does no harm."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from filelock import FileLock, Timeout

from noibo.errors import DiskFull, StoreError
from noibo.modelstore.progress import Progress, Report, size_text

# No space, over quota, over the limit for one file.
CHUNK: Final = 2**20
WAIT_S: Final = 0.3  # between two looks at what is waited for
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def require_space(folder: Path, need: int) -> None:
    """Raise `DiskFull` unless `need` more bytes fit into the folder's disk."""
    have = shutil.disk_usage(folder).free
    if have < need:
        raise _disk_full(folder, f"{size_text(need)} needed, {size_text(have)} free")


@contextlib.contextmanager
def faults_named(folder: Path, need: int = 0) -> Iterator[None]:
    """Turns the system's word for a disk that is full or closed to us into errors of ours."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise StoreError(
                f"{exc.filename or folder} cannot be written: {exc.strerror or exc}.",
                next_step="Mend that, or set store.path to a folder of yours.",
            ) from exc
        have = shutil.disk_usage(folder).free
        figures = f"{size_text(need)} needed, {size_text(have)} free: {exc.strerror}"
        raise _disk_full(folder, figures) from exc


def _disk_full(folder: Path, figures: str) -> DiskFull:
    return DiskFull(
        f"Not enough space in {folder} ({figures}). What was there is kept.",
        next_step="Make room there (`noibo rm MODEL`), or set store.path to a bigger disk; then "
        "the same command goes on where it stopped.",
    )


def sha256(path: Path, tell: Callable[[int], None], size: int | None = None) -> hashlib._Hash:
    """The digest of a file, or of its first `size` bytes. `tell` is given the bytes read so far,
    and ends it by raising."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(CHUNK if size is None else min(CHUNK, size - done)):
            digest.update(data)
            done += len(data)
            tell(done)
    return digest


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte to an unbuffered file: a nearly full disk takes only some of them."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def settle(temporary: Path, final: Path) -> None:
    """Give a finished file its name: on disk before the name, and the name at once."""
    with temporary.open("r+b") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    if os.name == "posix":
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with faults_named(path.parent, len(data)):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            settle(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def turn(
    path: Path, report: Report, look: Callable[[], tuple[int, int | None]] = lambda: (0, None)
) -> Iterator[None]:
    """One noibo at a time; the next one waits and says so. A killed one lets go by itself.

    `look` says how far the other one is, in bytes. What `report` raises (a cancel) ends the wait.
    """
    lock = FileLock(path)
    note = "Another noibo is fetching this; waiting for it."
    with faults_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                lock.acquire(timeout=WAIT_S if not note else 0)
                break
            except Timeout:
                report(Progress("wait", *look(), note))
                note = ""
    try:
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """True if nobody holds that lock now."""
    try:
        with FileLock(path, timeout=0):
            return True
    except (Timeout, OSError):
        return False
