"""Finds the bad part of a file whose digest is wrong though every piece is as it came.

The file is fetched a second time, stretch by stretch, and compared with what is here. Only chunks
that differ are rewritten; after each such stretch the digest is tried again.
"""

from __future__ import annotations

import dataclasses

from noibo.modelstore.download.answer import Asking, Opener
from noibo.modelstore.download.claim import Claim
from noibo.modelstore.download.digest import Digest
from noibo.modelstore.download.faults import Faults, FileChanged, FromTheStart
from noibo.modelstore.download.lanes import Lanes, Means
from noibo.modelstore.download.pieces import Pieces


class Comparison:
    """Takes the second copy, and rewrites the chunks of the first that differ."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._buffer = bytearray()
        self.done = 0
        self.changed = 0

    @property
    def total(self) -> int | None:
        return self._pieces.total

    def restart(self) -> None:
        """The second copy comes from its beginning again."""
        self._buffer.clear()
        self.done = 0

    def put(self, at: int, data: bytes) -> None:
        """The next bytes of the second copy."""
        self._buffer += data
        self.done = at + len(data)
        while self._buffer and (len(self._buffer) >= self._pieces.chunk or self.done == self.total):
            chunk = bytes(self._buffer[: self._pieces.chunk])
            first = self.done - len(self._buffer)
            if self._pieces.read(first, len(chunk)) != chunk:
                self._pieces.replace(first // self._pieces.chunk, chunk)
                self.changed += 1
            del self._buffer[: len(chunk)]

    def end_here(self) -> None:
        """The length is known here."""


class Repair:
    """One second pass over a file."""

    def __init__(self, asking: Asking, open_url: Opener, pieces: Pieces, means: Means) -> None:
        self._asking = asking
        self._open = open_url
        self._pieces = pieces
        self._means = dataclasses.replace(means, connections=1, faults=Faults(means.patience))
        self._comparison = Comparison(pieces)

    def run(self) -> Digest | None:
        """The digest of the file as it is right now; None if a second pass did not help."""
        try:
            return self._stretch_by_stretch()
        except FromTheStart:
            return self._in_one()
        except FileChanged:
            return None

    def _stretch_by_stretch(self) -> Digest | None:
        total, size = self._pieces.total or 0, self._means.cut.piece
        before, changes = Digest(), 0
        for first in range(0, total, size):
            end, seen = min(first + size, total), self._comparison.changed
            self._fetch(self._asking, first, end)
            if self._comparison.changed > seen:
                changes += 1
                if _is_due(changes) and (digest := self._tried(before)):
                    return digest
            self._follow(before, end)
        return before if self._fits(before) else None

    def _in_one(self) -> Digest | None:
        """The server has no ranges: the second copy comes in one, and is compared as it comes."""
        while True:
            self._comparison.restart()
            asking = Asking(self._asking.wanted, self._open, plainly=True)
            try:
                self._fetch(asking, 0, self._pieces.total)
            except FromTheStart:
                continue  # cut short; its faults are counted
            except FileChanged:
                return None
            return self._tried(Digest())

    def _fetch(self, asking: Asking, first: int, end: int | None) -> None:
        lanes = Lanes(asking, self._means, self._begin, self._comparison)
        lanes.plan_one(first, end)
        lanes.run(self._watch)

    def _begin(self, claim: Claim) -> Comparison:
        raise AssertionError(claim)

    def _watch(self) -> bool:
        self._means.telling.show("repair", self._comparison.done, self._pieces.total)
        return False

    def _tried(self, before: Digest) -> Digest | None:
        digest = before.copy()
        self._follow(digest, self._pieces.total or 0)
        return digest if self._fits(digest) else None

    def _follow(self, digest: Digest, end: int) -> None:
        while digest.follow(self._pieces, end):
            self._means.cancel.check()
            self._watch()

    def _fits(self, digest: Digest) -> bool:
        return digest.fits(self._asking.wanted, self._pieces.part)


def _is_due(changes: int) -> bool:
    """Reading the rest of a large file takes time: after many changes it is tried less often."""
    return changes <= 8 or changes & (changes - 1) == 0
