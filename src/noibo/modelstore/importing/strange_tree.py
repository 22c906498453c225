"""Looking about in folders that others filled: bounded, and nothing is opened unseen.

A stranger's folder may hold links in a circle, pipes that never answer, a million files, names with
anything in them. Folders behind links are not entered, only ordinary files are opened, and a look
round ends after a number of names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from noibo.errors import BadModelFile

MAX_NAMES: Final = 100_000  # seen in one place
MAX_DEPTH: Final = 8


@dataclass(slots=True)
class Look:
    """One look round: what may still be seen, and which folders would not open."""

    left: int = MAX_NAMES
    is_cut: bool = False
    closed: list[Path] = field(default_factory=list)

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What lies in `folder`, by name; nothing where it is gone or closed."""
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as names:
                for entry in names:
                    if not self.left:
                        self.is_cut = True
                        break
                    self.left -= 1
                    found.append(entry)
        except PermissionError:
            self.closed.append(folder)
        except OSError:
            return []
        return sorted(found, key=lambda entry: entry.name)

    def folders(self, folder: Path, *, links: bool = False) -> list[Path]:
        """The folders in it; behind links only where that is asked for."""
        return [
            Path(entry.path)
            for entry in self.entries(folder)
            if _is_folder(entry, follow=links) and not entry.name.startswith(".")
        ]

    def walk(self, root: Path, depth: int = MAX_DEPTH) -> Iterator[tuple[Path, list[Path]]]:
        """Every folder from `root` down, with what is in it that is no folder."""
        files: list[os.DirEntry[str]] = []
        inside: list[os.DirEntry[str]] = []
        for entry in self.entries(root):
            (inside if _is_folder(entry, follow=False) else files).append(entry)
        yield root, [Path(entry.path) for entry in files]
        for entry in inside if depth else ():
            if not entry.name.startswith("."):
                yield from self.walk(Path(entry.path), depth - 1)


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """True for a folder that can be seen, through links too."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def file_size(path: Path) -> int | None:
    """Bytes of an ordinary file, through links; None for anything else, and for nothing."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def is_within(path: Path, *folders: Path) -> bool:
    """True if the file that `path` leads to lies in one of these folders."""
    try:
        target = path.resolve(strict=True)
        return any(target.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError):
        return False


def is_text(path: Path) -> bool:
    """True if the path can be written down."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_small(path: Path, limit: int) -> bytes:
    """The whole of a small ordinary file; `BadModelFile` for anything else."""
    if file_size(path) is None:  # a device may do something when it is opened
        raise BadModelFile(f"{path} is not an ordinary file that can be read")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as exc:
        raise BadModelFile(f"{path} cannot be read: {getattr(exc, 'strerror', exc)}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadModelFile(f"{path} is not an ordinary file")
        try:
            data = file.read(limit + 1)
        except OSError as exc:
            raise BadModelFile(f"{path} cannot be read: {exc.strerror}") from None
    if len(data) > limit:
        raise BadModelFile(f"{path} is too large for what it should be")
    return data
