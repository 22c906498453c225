"""What the machine has, and what a process of it really holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from noibo.errors import SettingsError
from noibo.hardware.probe import memory_of
from noibo.hardware.system import System

LARGE: Final = 10**9  # bytes
_SHARE: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[KMGT]?i?B?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Machine:
    """The memory of this machine, or of the container this runs in. `root` is where the system's
    own files are read."""

    root: Path = Path("/")

    def total(self) -> int:
        """Bytes there are."""
        return memory_of(System(self.root))[0]

    def available(self) -> int:
        """Bytes that can be had without anything else being pushed out."""
        return memory_of(System(self.root))[1]

    def held_by(self, pid: int) -> int:
        """Bytes a process and its children hold: shared pages by their share. 0 once it is gone."""
        return sum(_share(self.root, one) for one in family(pid))

    def mapped_by(self, pid: int) -> int:
        """Of that, pages of files: the system counts them as available, since it can read them
        again. 0 where it does not say."""
        return sum(_mapped(one) for one in family(pid))

    def held_alone(self, pid: int) -> int:
        """The same with every shared page as its own: what it holds when the other worker of the
        same file has gone, and so what is to be expected of the next one like it."""
        return sum(_resident(one) for one in family(pid))


def _share(root: Path, pid: int) -> int:
    """A process's memory. To tell shared pages apart the kernel walks all of it, 5 ms for each
    GB, while the process waits for new memory: a large one's few shared pages count as its own."""
    resident = _resident(pid)
    if resident > LARGE:
        return resident
    try:
        text = (root / f"proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return resident
    found = _SHARE.search(text)
    return int(found[1]) * 1024 if found else resident


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _mapped(pid: int) -> int:
    try:
        return int(getattr(psutil.Process(pid).memory_info(), "shared", 0))
    except psutil.Error:
        return 0


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for child in _children(pid):
        yield from family(child)


def _children(pid: int) -> list[int]:
    """Linux keeps a list for each thread; elsewhere all processes are asked."""
    try:
        lists = [(one / "children").read_text() for one in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        try:
            return [child.pid for child in psutil.Process(pid).children()]
        except psutil.Error:
            return []
    return [int(child) for text in lists for child in text.split()]


def amount(text: str, whole: int, name: str) -> int:
    """`75%` of the whole, or a size as `8GB`, `6 GiB`, `500MB`. Raises `SettingsError`."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise SettingsError(
            f"{name} = {text!r} is no amount of memory.",
            next_step="Write a share of the machine's memory, as 75%, or a size, as 8GB.",
        )
    number, unit = float(found[1]), found[2].upper()
    if unit == "%":
        return int(whole * number / 100)
    table = _BINARY if "I" in unit else _UNITS
    return int(number * table[unit.rstrip("IB") if unit.rstrip("IB") in table else ""])
