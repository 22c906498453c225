"""A key: `noibo_<id>_<secret>`, shown once; of the secret only the digest is kept.

The secret has 256 bits from the system's generator, so a plain SHA-256 of it cannot be searched
through, and a check costs a microsecond. The id is no secret: a key is found by it, and then its
digest is compared in constant time, with a digest of nothing where there is no such key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from noibo.access.grant import Grant

BEGINNING: Final = "noibo_"
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # none that looks like another
_SHAPE: Final = re.compile(rf"{BEGINNING}([{_ALPHABET}]{{10}})_([0-9a-f]{{64}})")
_NOTHING: Final = bytes(32)

State = Literal["holds", "revoked", "expired"]
_FAULTS: Final[Mapping[State, str]] = {
    "holds": "",
    "revoked": "has been revoked",
    "expired": "has expired",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept. `owner` is whose everything is that is stored by its requests."""

    id: str
    name: str
    owner: str
    grant: Grant
    digest: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    @property
    def user(self) -> str | None:
        """The user it belongs to; None for one that stands for itself."""
        return None if self.owner == owner_of(self.id) else self.owner

    def state(self, now: float) -> State:
        """Whether it holds."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "holds"

    def fault(self, now: float) -> str:
        """Why it does not hold any more; empty while it does."""
        return _FAULTS[self.state(now)]


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key's two halves: what its owner gets, and what is kept of it."""

    id: str
    text: str
    digest: bytes


def mint() -> Minted:
    """A new key."""
    name = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = secrets.token_hex(32)
    return Minted(name, f"{BEGINNING}{name}_{secret}", _digest(secret))


def owner_of(key: str) -> str:
    """Whose everything is that a key stores that is nobody's. No user can be called so."""
    return f"key:{key}"


def is_ours(text: str) -> bool:
    """True for what says that it is a key of noibo's, well made or not."""
    return text.startswith(BEGINNING)


def parts(text: str) -> tuple[str, bytes] | None:
    """Id and digest of what a caller sent; None for what is no key."""
    found = _SHAPE.fullmatch(text)
    return (found[1], _digest(found[2])) if found else None


def is_it(key: Key | None, digest: bytes) -> bool:
    """True if that is the key. Takes as long for one that does not exist."""
    same = hmac.compare_digest(_NOTHING if key is None else key.digest, digest)
    return same and key is not None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
