"""Names of what is stored: a kind, and chance. Nobody can guess another's."""

from __future__ import annotations

import re
import secrets
from typing import Final

from noibo.errors import InvalidRequest

LONGEST: Final = 64
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def new(kind: str, between: str = "_") -> str:
    """`resp_…`, `file-…`."""
    return f"{kind}{between}{secrets.token_hex(24)}"


def is_id(text: str) -> bool:
    """True for what could be one of ours, or another's: nothing else goes near a database or a
    folder."""
    return _ID.fullmatch(text) is not None


def require_id(value: object, where: str) -> str:
    """An id that a caller wrote into a body. Raises `InvalidRequest`."""
    if not isinstance(value, str) or not is_id(value):
        raise InvalidRequest(
            f"{where} must be an id: letters, digits, _ and -, at most {LONGEST}.", param=where
        )
    return value
