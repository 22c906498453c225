"""Bounds that any Unix has: memory, files, privileges; and who goes first when memory runs out."""

from __future__ import annotations

import contextlib
import ctypes
import os

from noibo.engines.isolation.places import OWN_BADNESS
from noibo.engines.isolation.system_calls import get_capabilities, set_capabilities

LARGEST_FILE = 256 * 2**20
WHILE_LOADING, WHILE_SERVING, WORST = 800, 500, 1000
READ_ANY_FILE = 1 << 2  # CAP_DAC_READ_SEARCH: root's models may be another user's
CAPABILITY_VERSION = 0x20080522


def bound(memory_bytes: int | None, open_files: int | None) -> list[str]:
    """Lay the limits on this process; what could not be laid, in words."""
    try:
        import resource
    except ImportError:
        return ["memory and open files: this system has no limits for one process"]
    os.umask(0o077)
    # 1 and not 0: a core file is refused by either, a pipe to a crash reporter only by this.
    wanted = {
        "core files": (resource.RLIMIT_CORE, 1),
        "files": (resource.RLIMIT_FSIZE, LARGEST_FILE),
    }
    if open_files is not None:
        wanted["open files"] = (resource.RLIMIT_NOFILE, open_files)
    if memory_bytes is not None:
        wanted["memory"] = (resource.RLIMIT_DATA, memory_bytes)
    missing = []
    for what, (which, most) in wanted.items():
        _, hard = resource.getrlimit(which)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (least, least))
        except (OSError, ValueError) as exc:
            missing.append(f"{what}: the limit was not accepted ({exc})")
    return missing


def give_up_privileges() -> None:
    """Of root's powers none is left but to read; another user has none. Raises `OSError`."""
    header = _Header(CAPABILITY_VERSION, 0)
    held = (_Capabilities * 2)()
    get_capabilities(header, held)
    for one, kept in zip(held, (READ_ANY_FILE, 0), strict=True):
        one.permitted &= kept
        one.effective = one.permitted
        one.inheritable = 0
    set_capabilities(header, held)


def go_first(more: int) -> None:
    """Raise this process's place in the kernel's choice of whom to kill for memory, as far as that
    is possible, by so much above where the server stands."""
    with contextlib.suppress(OSError, ValueError):
        stands = int(OWN_BADNESS.read_text())
        with OWN_BADNESS.open("r+") as file:  # "w" would ask for the right to cut it short
            file.write(str(min(stands + more, WORST)))


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )
