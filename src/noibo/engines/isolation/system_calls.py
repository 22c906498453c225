"""Linux system calls that Python's library does not offer, by number."""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

PR_SET_NO_NEW_PRIVS = 38


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: Any) -> int:
    """The system call's result. Raises `OSError`. Whole numbers are passed as the kernel's long."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc().syscall(ctypes.c_long(number), *passed))


def renounce_new_privileges() -> None:
    """No program that this process starts has more rights than it: setuid is without effect."""
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero))


def set_capabilities(header: ctypes.Structure, data: Any) -> None:
    """capset(2), for this thread."""
    _checked(_libc().capset(ctypes.byref(header), data))


def get_capabilities(header: ctypes.Structure, data: Any) -> None:
    """capget(2), of this thread."""
    _checked(_libc().capget(ctypes.byref(header), data))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
