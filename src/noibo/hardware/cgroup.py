"""What a container leaves of a machine: its memory and its share of the processors.

Linux control groups, version 1 and 2. A limit may stand on the group this process is in or on any
above it; the tightest holds. In a container the groups may be mounted so that its own is the root:
then it is looked for there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from noibo.hardware.system import System, whole_number

_NO_LIMIT: Final = 2**60  # version 1 says a number like that for none
_V1: Final = {
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", ""),
}
_V2: Final = {"memory": ("memory.max", "memory.current", "inactive_file"), "cpu": ("cpu.max",) * 3}


def memory(system: System) -> tuple[int, int] | None:
    """The limit of the tightest group and what is used of it (of equal ones, the most), in bytes;
    None without a limit."""
    found = []
    for folder, (limit, usage, inactive) in _groups(system, "memory"):
        most = system.number(folder / limit)
        if most is not None and most < _NO_LIMIT:
            used = (system.number(folder / usage) or 0) - _said(system, folder, inactive)
            found.append((most, max(used, 0)))
    return min(found, key=lambda one: (one[0], -one[1]), default=None)


def processors(system: System) -> float | None:
    """How many processors' time this container may use; None without a limit."""
    found = []
    for folder, names in _groups(system, "cpu"):
        if names == _V2["cpu"]:
            quota, _, period = system.text(folder / names[0]).strip().partition(" ")
        else:
            quota, period = (system.text(folder / name) for name in names[:2])
        most, of = whole_number(quota), whole_number(period)
        if most is not None and of:
            found.append(most / of)
    return min(found, default=None)


def _groups(system: System, controller: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders of the groups this process is in, from its own up, with the names used there."""
    mounted = Path("sys/fs/cgroup")
    for line in system.text("proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controller in controllers.split(","):
            top, names = mounted / controller, _V1[controller]
        elif not controllers:
            top, names = mounted, _V2[controller]
        else:
            continue
        path = PurePosixPath(name.lstrip("/"))
        for group in (path, *path.parents):
            if ".." not in group.parts:
                yield top / group, names


def _said(system: System, folder: Path, name: str) -> int:
    """Pages of files that nobody has read lately: the kernel gives them back first."""
    for line in system.text(folder / "memory.stat").splitlines():
        key, _, number = line.partition(" ")
        if key == name and number.isdigit():
            return int(number)
    return 0
