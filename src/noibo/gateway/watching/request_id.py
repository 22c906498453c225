"""The name of a request: in its answer, and in each line that is logged for it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

HEADER: Final = b"x-request-id"
ANTHROPICS: Final = b"request-id"  # what its clients read
# What is long, or could be anything but a name, is not repeated.
_SANE: Final = re.compile(rb"[A-Za-z0-9._:=/@+-]{1,128}")


def of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's own name for it, if that is one; else a new one."""
    for name, value in headers:
        if name == HEADER:
            return value.decode() if _SANE.fullmatch(value) else new()
    return new()


def new() -> str:
    """A name that no other request has."""
    return "req_" + secrets.token_hex(12)
