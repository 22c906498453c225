"""What a pull under way needs among the blobs, written down: `partial/model-<key>.wants`.

Between the moment a file came and the moment its manifest is written, nothing else says that it is
used. The note outlives a kill, so that what came is still there for the next try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from noibo.modelstore.disk import write_atomically
from noibo.modelstore.reference import Reference


@dataclass(slots=True)
class Wants:
    """The note of one model's pull."""

    path: Path
    digests: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, partial: Path, reference: Reference) -> Wants:
        """The note for that model, as an earlier pull left it."""
        key = hashlib.sha256(str(reference).encode()).hexdigest()[:32]
        return cls.read(partial / f"model-{key}.wants")

    @classmethod
    def read(cls, path: Path) -> Wants:
        """An unreadable note wants nothing."""
        try:
            return cls(path, set(msgspec.json.decode(path.read_bytes(), type=list[str])))
        except (OSError, msgspec.MsgspecError):
            return cls(path)

    @property
    def lock_file(self) -> Path:
        """The lock of all who pull that model."""
        return self.path.with_suffix(".lock")

    def add(self, sha256: str) -> None:
        """One more digest, written down before the file is there."""
        if sha256 not in self.digests:
            self.digests.add(sha256)
            write_atomically(self.path, msgspec.json.encode(sorted(self.digests)))

    def prune(self, is_here: Callable[[str], bool]) -> None:
        """Forget what nothing is here of; a note that wants nothing goes."""
        self.digests = {digest for digest in self.digests if is_here(digest)}
        if self.digests:
            write_atomically(self.path, msgspec.json.encode(sorted(self.digests)))
        else:
            self.drop()

    def drop(self) -> None:
        """The manifest says it now."""
        self.path.unlink(missing_ok=True)


def how_far(partial: Path, wants: Wants) -> tuple[int, int | None]:
    """How many bytes of its files another pull has, of how many."""
    from noibo.modelstore.download.pieces import seen

    done, total = 0, 0
    for digest in Wants.read(wants.path).digests:
        found = seen(partial / f"sha256-{digest}.part")
        if found is not None:
            done, total = done + found[0], total + (found[1] or 0)
    return done, total or None
