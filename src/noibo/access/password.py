"""Passwords, kept as scrypt hashes that say their own cost.

32 MiB and about a tenth of a second for each guess (OWASP's second choice after Argon2id, which is
not in Python's library). A check runs in a thread, and for a user that does not exist as well.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from base64 import b64decode, b64encode
from typing import Final

from noibo.errors import UsageError

LEAST: Final = 10  # characters
MOST: Final = 1024
_COST: Final = 2**15, 8, 3  # n, r, p
_MEMORY: Final = 64 * 2**20


def require_length(password: str) -> None:
    """Raise `UsageError` for one that is too short, or very long."""
    if not LEAST <= len(password) <= MOST:
        raise UsageError(
            f"A password has {LEAST} to {MOST} characters; this one has {len(password)}.",
            next_step="A few words with spaces between are easy to remember and hard to guess.",
        )


def hashed(password: str) -> str:
    """What is kept of a password. Raises `UsageError` for one that is too short."""
    require_length(password)
    salt = secrets.token_bytes(16)
    n, r, p = _COST
    found = _scrypt(password, salt, n, r, p)
    return f"scrypt${n}${r}${p}${b64encode(salt).decode()}${b64encode(found).decode()}"


def matches(password: str, kept: str | None) -> bool:
    """True if that is the password. Takes as long where none is kept."""
    _, n, r, p, salt, expected = (kept or _NOBODY).split("$")
    found = _scrypt(password[:MOST], b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, b64decode(expected)) and kept is not None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    said = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(said, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


_NOBODY: Final = "scrypt${}${}${}${}${}".format(
    *_COST, b64encode(bytes(16)).decode(), b64encode(bytes(32)).decode()
)
