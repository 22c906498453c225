"""Landlock: the kernel's rules for files, TCP ports and signals that a process lays on itself.

It holds for the calling thread and all that it starts from then on, for good. Shapes and numbers:
linux/landlock.h; what each version of the interface (ABI) has: the kernel's landlock(7).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

from noibo.engines.isolation.system_calls import call

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ONLY_VERSION = 1
BENEATH, PORT = 1, 2
BIND_TCP, CONNECT_TCP = 1, 2
ABSTRACT_SOCKETS, SIGNALS = 1, 2


class Right(IntFlag):
    """What may be done with a file or a folder and all below it."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Right.READ_FILE | Right.READ_DIR
RUN = READ | Right.EXECUTE
USE_DEVICE = READ | Right.WRITE_FILE | Right.IOCTL_DEV
OWN = (
    READ
    | Right.WRITE_FILE
    | Right.TRUNCATE
    | Right.REFER
    | Right.REMOVE_DIR
    | Right.REMOVE_FILE
    | Right.MAKE_DIR
    | Right.MAKE_REG
    | Right.MAKE_FIFO
    | Right.MAKE_SYM
)  # never to execute: what a worker wrote cannot be run
OF_A_FILE = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder and what may be done there."""

    path: Path
    rights: Right


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The kernel's Landlock ABI; 0 where it has none, or it is switched off."""
    try:
        return call(CREATE_RULESET, None, 0, ONLY_VERSION)
    except OSError:
        return 0


def restrict(places: Iterable[Place], abi: int, port: int = 0) -> None:
    """From now on only these places, no TCP but to listen on that port (0: one that the kernel
    chooses), and no signal to others: as far as this ABI goes. The caller has renounced new
    privileges."""
    handled = _known(abi)
    fields = _Ruleset(
        handled,
        BIND_TCP | CONNECT_TCP if abi >= 4 else 0,
        ABSTRACT_SOCKETS | SIGNALS if abi >= 6 else 0,
    )
    ruleset = call(CREATE_RULESET, ctypes.byref(fields), ctypes.sizeof(fields), 0)
    try:
        for place in places:
            _allow(ruleset, place, handled)
        if abi >= 4:
            one_port = _PortRule(BIND_TCP, port)
            call(ADD_RULE, ruleset, PORT, ctypes.byref(one_port), 0)
        call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _known(abi: int) -> Right:
    """The rights that this ABI can rule."""
    known = Right.REFER - 1
    for since, right in ((2, Right.REFER), (3, Right.TRUNCATE), (5, Right.IOCTL_DEV)):
        known |= right if abi >= since else 0
    return Right(known)


def _allow(ruleset: int, place: Place, handled: Right) -> None:
    try:
        opened = os.open(place.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there, or not for us anyway
    try:
        whole = stat.S_ISDIR(os.fstat(opened).st_mode)
        rights = place.rights & handled & (handled if whole else OF_A_FILE)
        rule = _PathRule(rights, opened)
        call(ADD_RULE, ruleset, BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
