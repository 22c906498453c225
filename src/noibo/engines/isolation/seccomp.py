"""seccomp: a small program in the kernel that looks at each system call of this process.

It holds for all threads, and for all that they start, for good. Several programs may be laid on top
of each other; the strictest answer counts. See the kernel's seccomp(2) and linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable

from noibo.engines.isolation.refusals import ABSENT, ARCHITECTURES, EVERY_BIT, Refusal, Test
from noibo.engines.isolation.system_calls import call

SECCOMP = {"x86_64": 317, "aarch64": 277}
SET_MODE_FILTER = 1
ALL_THREADS = 1
KEEP_SPEED = 4  # before Linux 5.16 a filter slowed every computation by switching speculation off
OTHER_ABI = 0x40000000  # x86_64 knows the calls of x32 by this bit

LOAD, JUMP_IF_EQUAL, JUMP_IF_NOT_LESS, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000
AT_NUMBER, AT_ARCHITECTURE, AT_ARGUMENTS = 0, 4, 16  # in struct seccomp_data


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def is_known() -> bool:
    """True if the calls of this machine's architecture are known by number."""
    return platform.machine() in ARCHITECTURES


def refuse(refusals: Iterable[Refusal]) -> None:
    """From now on these calls fail. The caller has renounced new privileges. Raises `OSError`."""
    if not is_known():
        raise OSError(errno.ENOSYS, f"system calls are not known by number on {platform.machine()}")
    code = program(refusals)
    given = ctypes.byref(_Program(len(code) // 8, code))
    number = SECCOMP[platform.machine()]
    try:
        call(number, SET_MODE_FILTER, ALL_THREADS | KEEP_SPEED, given)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        call(number, SET_MODE_FILTER, ALL_THREADS, given)


def program(refusals: Iterable[Refusal]) -> bytes:
    """The filter: calls of another architecture fail, then each refusal, then all is allowed."""
    foreign = _instruction(RETURN, FAIL_WITH | errno.EPERM)
    code = [
        _instruction(LOAD, AT_ARCHITECTURE),
        _instruction(JUMP_IF_EQUAL, ARCHITECTURES[platform.machine()], 1, 0),
        foreign,
        _instruction(LOAD, AT_NUMBER),
    ]
    if platform.machine() == "x86_64":
        code += [_instruction(JUMP_IF_NOT_LESS, OTHER_ABI, 0, 1), foreign]
    for refusal in refusals:
        if refusal.number != ABSENT:
            body = _body(refusal)
            code += [_instruction(JUMP_IF_EQUAL, refusal.number, 0, len(body)), *body]
    code.append(_instruction(RETURN, ALLOW))
    return b"".join(code)


def _body(refusal: Refusal) -> list[bytes]:
    """What happens to one call: it fails at the first test that it does not pass."""
    fails = _instruction(RETURN, FAIL_WITH | refusal.error)
    if not refusal.tests:
        return [fails]
    tests = [step for test in refusal.tests for step in _test(test, fails)]
    return [*tests, _instruction(RETURN, ALLOW)]


def _test(test: Test, fails: bytes) -> list[bytes]:
    steps = [_instruction(LOAD, AT_ARGUMENTS + 8 * test.argument)]
    if test.mask != EVERY_BIT:
        steps.append(_instruction(AND, test.mask))
    for left, value in zip(range(len(test.values), 0, -1), test.values, strict=True):
        steps.append(_instruction(JUMP_IF_EQUAL, value, left, 0))
    return [*steps, fails]


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
