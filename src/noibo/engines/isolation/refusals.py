"""The system calls that a worker is refused, and why.

Everything else is allowed: an engine must go on working on kernels and with GPU drivers that nobody
here has seen. So each line is something that no engine needs and a hijacked one would use.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ABSENT: Final = -1
MSG_FASTOPEN: Final = 0x20000000  # connects without connect(2), and unseen by Landlock
NEW_NAMESPACES: Final = 0x7E020000  # every CLONE_NEW… of clone(2)
EVERY_BIT: Final = 0xFFFFFFFF
ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_…

# Why it is refused, and the calls: their numbers on x86_64 and on aarch64.
REFUSED: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "a worker is called, it calls nobody": {
        "connect": (42, 203),
    },
    "calls by a queue, which no filter sees": {
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
    },
    "another process's memory and files": {
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "kcmp": (312, 272),
        "tkill": (200, 130),
    },
    "leaving the group that ends with the worker": {
        "setsid": (112, 157),
        "setpgid": (109, 154),
    },
    "memory and queues shared by number instead of by file": {
        "shmget": (29, 194),
        "shmat": (30, 196),
        "semget": (64, 190),
        "semop": (65, 193),
        "semtimedop": (220, 192),
        "msgget": (68, 186),
        "msgsnd": (69, 189),
        "msgrcv": (70, 188),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
    },
    "rights and marks of files, which Landlock does not watch": {
        "chmod": (90, ABSENT),
        "fchmod": (91, 52),
        "fchmodat": (268, 53),
        "fchmodat2": (452, 452),
        "chown": (92, ABSENT),
        "lchown": (94, ABSENT),
        "fchown": (93, 55),
        "fchownat": (260, 54),
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "setxattrat": (463, 463),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "removexattrat": (466, 466),
        "utime": (132, ABSENT),
        "utimes": (235, ABSENT),
        "futimesat": (261, ABSENT),
        "utimensat": (280, 88),
        "truncate": (76, 45),
        "open_by_handle_at": (304, 265),
        "fanotify_init": (300, 262),
    },
    "keys kept in the kernel": {
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
    },
    "other views of the machine": {
        "unshare": (272, 97),
        "setns": (308, 268),
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "open_tree": (428, 428),
        "open_tree_attr": (467, 467),
        "move_mount": (429, 429),
        "mount_setattr": (442, 442),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
    },
    "parts of the kernel where most of its holes were": {
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
    },
    "the machine itself": {
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "reboot": (169, 142),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "acct": (163, 89),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "clock_adjtime": (305, 266),
        "adjtimex": (159, 171),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "iopl": (172, ABSENT),
        "ioperm": (173, ABSENT),
        "syslog": (103, 116),
        "vhangup": (153, 58),
    },
}
CLONE3: Final = (435, 435)  # its flags lie where no filter looks; the C library falls back to clone
SOCKET: Final = (41, 198)
NO_NEW_SOCKETS: Final = {"socket": SOCKET, "bind": (49, 200), "listen": (50, 201)}


@dataclass(frozen=True, slots=True)
class Test:
    """An argument of a call, by its lower 32 bits: passed if what `mask` leaves is one of these."""

    argument: int
    values: tuple[int, ...]
    mask: int = EVERY_BIT


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that fails with `error`, unless it passes all of its tests; without tests, always."""

    numbers: tuple[int, int]
    tests: tuple[Test, ...] = ()
    error: int = errno.EPERM

    @property
    def number(self) -> int:
        """On this machine."""
        return self.numbers[list(ARCHITECTURES).index(platform.machine())]


def at_the_door() -> Iterator[Refusal]:
    """What is refused from before the model is opened."""
    for calls in REFUSED.values():
        yield from (Refusal(numbers) for numbers in calls.values())
    yield Refusal(CLONE3, error=errno.ENOSYS)
    yield from _sockets()
    yield from _other_processes()


def once_serving() -> Iterator[Refusal]:
    """What is refused besides, as soon as the worker listens."""
    yield from (Refusal(numbers) for numbers in NO_NEW_SOCKETS.values())


def _sockets() -> Iterator[Refusal]:
    """Only TCP: no UDP, no raw packets, no netlink, no way to local services by file or name."""
    a_stream = Test(
        1, (socket.SOCK_STREAM,), mask=0xF
    )  # beside it stand non-blocking, close-on-exec
    internet = Test(0, (socket.AF_INET, socket.AF_INET6))
    tcp = Test(2, (0, socket.IPPROTO_TCP))
    yield Refusal(SOCKET, (internet, a_stream, tcp))
    yield Refusal((53, 199), (Test(0, (socket.AF_UNIX,)), a_stream))  # socketpair: with itself only
    for numbers, flags in (((44, 206), 3), ((46, 211), 2), ((307, 269), 3)):  # send(to|msg|mmsg)
        yield Refusal(numbers, (Test(flags, (0,), mask=MSG_FASTOPEN),))


def _other_processes() -> Iterator[Refusal]:
    """Signals to itself only, limits for itself only, children in the same namespaces."""
    me = os.getpid()
    for numbers in (
        (62, 129),
        (234, 131),
        (129, 138),
        (297, 240),
    ):  # kill, tgkill, rt_(tg)sigqueueinfo
        yield Refusal(numbers, (Test(0, (me,)),))
    yield Refusal((302, 261), (Test(0, (0, me)),))  # prlimit64
    yield Refusal((56, 220), (Test(0, (0,), mask=NEW_NAMESPACES),))  # clone
