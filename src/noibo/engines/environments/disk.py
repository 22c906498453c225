"""A disk that is full or closed to us, told with what helps where engines are kept: below
NOIBO_HOME, not in the store of models."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from noibo.errors import DiskFull, StoreError
from noibo.modelstore.disk import faults_named, require_space

ROOM: Final = (
    "Make room there (`noibo engines remove NAME`, `noibo rm MODEL`), or set NOIBO_HOME to a "
    "folder on a bigger disk; then the same command begins anew."
)
ACCESS: Final = "Mend that, or set NOIBO_HOME to a folder of yours; then the same command again."


def require_room(folder: Path, need: int) -> None:
    """Raise `DiskFull` unless `need` more bytes fit into the folder's disk."""
    try:
        require_space(folder, need)
    except DiskFull as error:
        error.next_step = ROOM
        raise


@contextlib.contextmanager
def disk_faults(folder: Path, need: int = 0) -> Iterator[None]:
    """Turns the system's word for such a disk into `DiskFull` and `StoreError`."""
    try:
        yield
    except (ConnectionError, TimeoutError):  # of a pipe or a server
        raise
    except OSError:
        there = next(one for one in (folder, *folder.parents) if os.access(one, os.F_OK))
        try:
            with faults_named(there, need):
                raise
        except StoreError as error:
            error.next_step = ROOM if isinstance(error, DiskFull) else ACCESS
            raise
