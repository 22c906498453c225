"""A file that somebody sends, on its way among the blobs: checked against its digest meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, Self

from noibo.errors import BodyTooLarge, InvalidRequest
from noibo.modelstore.disk import faults_named, require_space, settle, write_all
from noibo.modelstore.progress import size_text
from noibo.modelstore.store import Store

LARGEST: Final = 2**40  # bytes of one file
SPARE: Final = 2**28  # bytes of the disk that are left to others
_LOOK_EVERY: Final = 2**23  # bytes, at the free space: who sends may not have said how many come


class Upload:
    """One file. Used as a context: left before `finish`, nothing of it stays. Not for the event
    loop, and for one thread at a time."""

    def __init__(self, store: Store, sha256: str, size: int | None) -> None:
        self._store = store
        self._sha256 = sha256
        self._size = size or 0
        self._written = 0
        self._looked = 0
        self._digest = hashlib.sha256()
        name = f".sha256-{sha256}.{os.getpid()}.{secrets.token_hex(4)}"
        self._path: Path = store.partial / name

    def __enter__(self) -> Self:
        """Raises `BodyTooLarge`, `DiskFull`."""
        require_taken(self._size)
        with faults_named(self._store.partial):
            self._store.partial.mkdir(parents=True, exist_ok=True)
            require_space(self._store.partial, self._size + SPARE)
            self._file = self._path.open("xb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """The next bytes. Raises `BodyTooLarge`, `DiskFull`."""
        self._written += len(data)
        require_taken(self._written)
        if self._written - self._looked >= _LOOK_EVERY:
            self._looked = self._written
            require_space(self._store.partial, SPARE)
        self._digest.update(data)
        with faults_named(self._store.partial, len(data)):
            write_all(self._file, data)

    def finish(self) -> None:
        """Give it its place, if it is what was promised. Raises `InvalidRequest`."""
        found = self._digest.hexdigest()
        if found != self._sha256:
            raise InvalidRequest(
                f'digest mismatch, expected "sha256:{self._sha256}", got "sha256:{found}".',
                param="digest",
            )
        self._file.close()
        blob = self._store.blob(self._sha256)
        with self._store.changing(), faults_named(self._store.blobs):
            self._store.blobs.mkdir(parents=True, exist_ok=True)
            settle(self._path, blob)


def require_taken(size: int) -> None:
    """Raise `BodyTooLarge` for more bytes than one file may have."""
    if size > LARGEST:
        raise BodyTooLarge(
            f"The file is larger than {size_text(LARGEST)}.", next_step="Send it in parts."
        )
