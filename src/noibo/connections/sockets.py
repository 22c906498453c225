"""What the kernel is told about the connections of a listener: they inherit it.

A peer that vanished without a word (a cable, a laptop, a firewall that forgot) sends nothing, and
would be waited for till the end of time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

IDLE_S: Final = 30  # after so long without a word it is asked whether it is there
_ASK_EVERY_S: Final = 10
_ASK_TIMES: Final = 3
_UNSENT_BYTES: Final = 2**17  # in the kernel for one that does not read
_GRACE_S: Final = 10  # the server, which can say what happened, goes first
_OWN_SHARE: Final = 4  # one of so many descriptors is kept for workers, database and files


def prepare(listener: socket.socket, stall_s: float) -> None:
    """Have its connections notice that nobody is there, and hold little that nobody reads."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": IDLE_S,
        "TCP_KEEPALIVE": IDLE_S,  # what macOS calls it
        "TCP_KEEPINTVL": _ASK_EVERY_S,
        "TCP_KEEPCNT": _ASK_TIMES,
        "TCP_USER_TIMEOUT": min(round((stall_s + _GRACE_S) * 1000), 2**31 - 1),
        "TCP_NOTSENT_LOWAT": _UNSENT_BYTES,
    }
    for name, value in wanted.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # a system that does not know it
                listener.setsockopt(socket.IPPROTO_TCP, option, value)


def most_connections(wanted: int) -> int:
    """So many of those that are wanted as there are descriptors for."""
    if os.name == "nt":
        return wanted
    import resource

    there, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if there == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, there - max(there // _OWN_SHARE, 32)), 1)
