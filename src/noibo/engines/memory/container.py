"""The memory a container may use, by Linux control groups, version 1 and 2.

A limit may stand on the group this process is in or on any above it; the smallest holds. In a
container the groups may be mounted so that its own is the root: then it is looked for there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_NO_LIMIT: Final = 2**60  # version 1 says a number like that for none


@dataclass(frozen=True, slots=True)
class Container:
    """A group's limit, and what is used of it that cannot be had back at once. In bytes."""

    limit: int
    used: int


def tightest(root: Path = Path("/")) -> Container | None:
    """The group with the smallest limit that holds for this process; None without a limit."""
    found = [one for folder, names in _groups(root) if (one := _read(folder, *names))]
    return min(found, key=lambda one: one.limit, default=None)


_V2: Final = ("memory.max", "memory.current", "inactive_file")
_V1: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Folders of the groups this process is in, from its own up, with the names used there."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if "memory" in controllers.split(","):
            top, names = mounted / "memory", _V1
        elif not controllers:
            top, names = mounted, _V2
        else:
            continue
        path = PurePosixPath(name.lstrip("/"))
        for group in (path, *path.parents):
            if ".." not in group.parts:
                yield top / group, names


def _read(folder: Path, limit: str, usage: str, inactive: str) -> Container | None:
    most = _number(folder / limit)
    if most is None or most >= _NO_LIMIT:
        return None
    return Container(most, max((_number(folder / usage) or 0) - _said(folder, inactive), 0))


def _said(folder: Path, name: str) -> int:
    """Pages of files that nobody has read lately: the kernel gives them back first."""
    for line in _text(folder / "memory.stat").splitlines():
        key, _, number = line.partition(" ")
        if key == name and number.isdigit():
            return int(number)
    return 0


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
