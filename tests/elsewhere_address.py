"""An address of this machine that is not loopback: what is asked there goes the way out.

A machine on a network has one; where there is none, the tests that need it are left out, aloud.
"""

from __future__ import annotations

import socket

import psutil
import pytest


def outer_address() -> str:
    """The first IPv4 address that is not loopback; empty where there is none."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    return ""


OUTER = outer_address()
needs_network = pytest.mark.skipif(not OUTER, reason="this machine has no address but loopback")
