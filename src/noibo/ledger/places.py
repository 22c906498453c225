"""Where a ledger lies: `NAME.jsonl`, which grows; older parts of it; its head; its lock."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from noibo.errors import LedgerError

_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
NOTHING: Final = "0" * 64  # what the first row has before it


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one ledger. `current` is the one that grows."""

    current: Path

    @property
    def name(self) -> str:
        """The ledger's own name, which its heads say."""
        return self.current.stem

    @property
    def folder(self) -> Path:
        return self.current.parent

    @property
    def head(self) -> Path:
        return self.current.with_suffix(".head")

    @property
    def lock(self) -> Path:
        return self.current.with_suffix(".lock")

    @property
    def unchained(self) -> Path:
        """The rows of a noibo that did not chain them, taken over as they were."""
        return self.current.with_name(f"{self.name}-unchained.jsonl")

    def older(self) -> list[Path]:
        """The parts that grow no more, the oldest first."""
        return sorted(self.folder.glob(f"{self.name}-{'[0-9]' * 12}.jsonl"))

    def older_part(self, first: int) -> Path:
        """What the part is called that begins with a row, when it grows no more."""
        return self.current.with_name(f"{self.name}-{first:012}.jsonl")

    def parts(self) -> list[Path]:
        """All that is there, in order."""
        return [*self.older(), *([self.current] if os.path.lexists(self.current) else [])]


def open_plain(path: Path, flags: int) -> int:
    """A handle of a file that is a plain one. Raises `LedgerError` for a link, a pipe and the like,
    and `OSError`."""
    if path.is_symlink():
        raise _not_plain(path, "a link")
    handle = os.open(path, flags | _NO_LINKS | getattr(os, "O_NONBLOCK", 0), 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_plain(path, "no plain file")
    return handle


def read_plain(path: Path) -> BufferedReader:
    """That file, to be read."""
    return os.fdopen(open_plain(path, os.O_RDONLY), "rb")


def _not_plain(path: Path, what: str) -> LedgerError:
    return LedgerError(
        f"{path} is {what}: a ledger is written to a file of its own and nowhere else.",
        next_step="Find out who put it there; move it away.",
    )
