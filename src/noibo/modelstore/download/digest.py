"""The digest of a file while it comes: it follows what is here without a gap."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.pieces import Pieces

STEP: Final = 2**20


class Digest:
    """SHA-256 of the first `at` bytes. Bytes are read back from the system's own cache."""

    def __init__(self) -> None:
        self.at = 0
        self._hash = hashlib.sha256()

    def take(self, at: int, data: bytes) -> None:
        """Bytes that somebody has at hand; used if they are the next ones."""
        if at == self.at:
            self._hash.update(data)
            self.at += len(data)

    def follow(self, pieces: Pieces, until: int | None = None) -> bool:
        """Go on by a step. False if there is nothing to go on with."""
        end = pieces.prefix(self.at) if until is None else until
        data = pieces.read(self.at, min(STEP, end - self.at)) if end > self.at else b""
        self.take(self.at, data)
        return bool(data)

    def copy(self) -> Digest:
        """The same digest, to go on from here another way."""
        twin = Digest()
        twin.at, twin._hash = self.at, self._hash.copy()
        return twin

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def fits(self, wanted: Wanted, path: Path) -> bool:
        """True if the file there is the one that was promised, as far as anything was."""
        if wanted.sha256 is not None and self.sha256 != wanted.sha256:
            return False
        return wanted.git_sha1 is None or git_sha1(path) == wanted.git_sha1


def git_sha1(path: Path) -> str:
    """The id git gives the file. Only files that are small have one that anybody promises."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(STEP):
            digest.update(data)
    return digest.hexdigest()
