"""Somebody who signs in, and the sessions that follow.

A session is a cookie with 256 random bits; what is kept is their digest. Beside it goes a token
that a page must repeat in a header with whatever it changes (`X-Noibo-CSRF`): a foreign page can
make a browser send the cookie, and cannot know the token, which is made of the same bits in another
way.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from noibo.access.grant import Grant, Role
from noibo.errors import UsageError

IDLE_S: Final = 12 * 3600.0  # a session ends when nothing was asked for so long
LOCAL: Final = "local"  # whose everything is that is stored on this machine without a key
LONGEST_S: Final = 7 * 86400.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,47}")


@dataclass(frozen=True, slots=True)
class User:
    """A user. `name` is whose everything is that their sessions and keys store."""

    name: str
    role: Role
    password: str  # scrypt
    created_at: float

    @property
    def grant(self) -> Grant:
        return Grant(self.role)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is kept."""

    digest: bytes
    user: str
    created_at: float
    seen_at: float

    def lives(self, now: float) -> bool:
        """False when it is too old, or was not used for too long."""
        return now - self.created_at < LONGEST_S and now - self.seen_at < IDLE_S


def require_name(name: str) -> str:
    """A user's name. Raises `UsageError`."""
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise UsageError(
            f"{name[:80]!r} cannot be a user's name.",
            next_step="Small letters, digits, and . _ @ - after the first; at most 48; "
            "and `local` is who works on this machine.",
        )
    return name


def new_token() -> str:
    """What goes into the cookie."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a cookie."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def page_token(token: str) -> str:
    """What a page of that session repeats with every change."""
    key = token.encode("utf-8", "surrogatepass")
    return hmac.digest(key, b"noibo page token", "sha256").hex()
