"""How fast a model comes from the disk: a file is written where models lie, and read again.

What was just written is still in memory, so the system is asked to forget it, and then looked at
whether it did: a rate of memory is not given out as a disk's.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from noibo.hardware.machine import Disk

MIB: Final = 2**20
SIZE: Final = 128 * MIB
_LEAST: Final = 8 * MIB  # less than that says nothing
_BLOCK: Final = 4 * MIB
_ROOM: Final = 10  # times the size must be free
_STILL_THERE: Final = 0.02  # share of pages that may be left in memory


class _NotMeasured(Exception):
    """Why there is no rate."""


def disk(folder: Path, seconds: float, size: int = SIZE) -> tuple[Disk, str]:
    """The disk that `folder` lies on (or will: its nearest parent), and why its rate was not
    measured where that is so. Takes about `seconds` for writing and as much for reading; with 0
    it is not measured."""
    if not seconds:
        return Disk(str(folder), room(folder)), ""
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    free = room(folder)
    try:
        return Disk(str(folder), free, _measured(there, seconds, size, free)), ""
    except _NotMeasured as exc:
        return Disk(str(folder), free), f"The disk's read rate was not measured: {exc}."
    except OSError as exc:
        why = exc.strerror or str(exc)
        return Disk(str(folder), free), f"The disk's read rate was not measured: {there}: {why}."


def room(folder: Path) -> int:
    """Bytes that are free where `folder` lies or will lie."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    return shutil.disk_usage(there).free


def _measured(folder: Path, seconds: float, size: int, free: int) -> float:
    if not hasattr(os, "posix_fadvise"):
        raise _NotMeasured("this system cannot be told to forget a file it has in memory")
    if free < _ROOM * size:
        raise _NotMeasured("there is too little room for a file to try it with")
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".noibo-disk-") as file:
        written = _write(file.fileno(), size, seconds)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        share = in_memory(file.fileno(), written)
        if share is None:
            raise _NotMeasured("it cannot be seen whether a file is still in memory")
        if share > _STILL_THERE:
            raise _NotMeasured("files of this folder stay in memory (tmpfs, or the like)")
        return _read(file.fileno(), seconds)


def _write(descriptor: int, size: int, seconds: float) -> int:
    """Write up to `size` bytes that cannot be packed, and have them on the disk."""
    block, written, until = os.urandom(_BLOCK), 0, time.perf_counter() + seconds
    while written < size and (written < _LEAST or time.perf_counter() < until):
        written += os.write(descriptor, block)
        os.fsync(descriptor)
    return written


def _read(descriptor: int, seconds: float) -> float:
    """Bytes a second, from the beginning on, for as long as there is time."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    buffer, done, began = bytearray(_BLOCK), 0, time.perf_counter()
    while (count := os.readv(descriptor, [buffer])) and time.perf_counter() - began < seconds:
        done += count
    return (done + count) / max(time.perf_counter() - began, 1e-9)


def in_memory(descriptor: int, size: int) -> float | None:
    """The share of a file's pages that the system holds in memory; None where it does not say."""
    pages = -(-size // mmap.PAGESIZE)
    with contextlib.suppress(OSError, AttributeError, ValueError):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
        place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if place is None or place == ctypes.c_void_p(-1).value:
            return None
        held = ctypes.create_string_buffer(pages)
        failed = libc.mincore(place, size, held)
        libc.munmap(place, size)
        return None if failed else sum(byte & 1 for byte in held.raw[:pages]) / pages
    return None
