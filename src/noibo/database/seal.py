"""Seals what is stored: AES-256-GCM, by a key that lies elsewhere than what it seals.

A sealed text says by which key (`sealed1:KEY:…`, the first digits of a digest of it), so that keys
can be changed: the new one seals, former ones still open. What was stored before there was a key is
read as it is. A text is bound to its column, not to its row: who can write to the database could
move a sealed text to another row of the same column, and not read, change or make one.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from noibo.errors import DatabaseError

TEXT_MARK: Final = "sealed1:"
BYTES_MARK: Final = b"NBS1"
KEY_BYTES: Final = 32
_NONCE: Final = 12


@dataclass(frozen=True, slots=True)
class SealKey:
    """One key: 32 random bytes. `name` is no secret."""

    secret: bytes
    name: str

    @classmethod
    def of(cls, secret: bytes) -> SealKey:
        """The key of these bytes."""
        return cls(secret, hashlib.sha256(b"noibo seal key" + secret).hexdigest()[:8])

    def derived(self, use: bytes) -> bytes:
        """A key of its own for one use."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), KEY_BYTES, salt=None, info=use).derive(self.secret)


class Seal:
    """Seals by the first of its keys and opens by any. Without a key nothing is sealed, and what is
    sealed cannot be opened. Used by several threads at once."""

    def __init__(self, keys: Sequence[SealKey] = ()) -> None:
        self._keys = {key.name: key for key in reversed(keys)}
        self.first = keys[0] if keys else None
        self._ciphers: dict[str, Any] = {}

    def key(self, name: str) -> SealKey:
        """The key that something is sealed by. Raises `DatabaseError`."""
        if name not in self._keys:
            raise DatabaseError(
                f"What is stored is sealed by the key {name}, which is not set.",
                next_step="Set encryption.key, or encryption.former_keys, to where that key is.",
            )
        return self._keys[name]

    def seal_text(self, text: str, place: str) -> str:
        """A text sealed for its place; as it is where there is no key."""
        if self.first is None:
            return text
        data = self._sealed(self.first, text.encode(), place)
        return f"{TEXT_MARK}{self.first.name}:{base64.b64encode(data).decode()}"

    def open_text(self, text: str, place: str) -> str:
        """The text. Raises `DatabaseError` where it cannot be opened, or was changed."""
        if not text.startswith(TEXT_MARK):
            return text
        name, _, data = text.removeprefix(TEXT_MARK).partition(":")
        try:
            sealed = base64.b64decode(data, validate=True)
        except ValueError:
            raise _changed(place) from None
        return self._opened(self.key(name), sealed, place).decode()

    def seal_bytes(self, data: bytes, place: str) -> bytes:
        """The same of bytes."""
        if self.first is None:
            return data
        name = self.first.name.encode()
        return BYTES_MARK + name + self._sealed(self.first, data, place)

    def open_bytes(self, data: bytes, place: str) -> bytes:
        """The same of bytes."""
        if not data.startswith(BYTES_MARK):
            return data
        begin = len(BYTES_MARK)
        name = data[begin : begin + 8].decode("ascii", "replace")
        return self._opened(self.key(name), data[begin + 8 :], place)

    def _sealed(self, key: SealKey, data: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + bytes(self._cipher(key).encrypt(nonce, data, place.encode()))

    def _opened(self, key: SealKey, data: bytes, place: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            nonce, sealed = data[:_NONCE], data[_NONCE:]
            return bytes(self._cipher(key).decrypt(nonce, sealed, place.encode()))
        except (InvalidTag, ValueError):
            raise _changed(place) from None

    def _cipher(self, key: SealKey) -> Any:
        if key.name not in self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._ciphers[key.name] = AESGCM(key.derived(b"texts"))
        return self._ciphers[key.name]


_NONE: Final = Seal()
_seals: Final[WeakKeyDictionary[Dialect, Seal]] = WeakKeyDictionary()


def use_seal(dialect: Dialect, seal: Seal) -> None:
    """What goes through this engine is sealed and opened so."""
    _seals[dialect] = seal


class SealedText(TypeDecorator[str]):
    """A column of texts that may be sealed. `place`: the column's name, to which they are bound."""

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _seals.get(dialect, _NONE).seal_text(value, self.place)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _seals.get(dialect, _NONE).open_text(value, self.place)


class SealedBytes(TypeDecorator[bytes]):
    """A column of bytes that may be sealed."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _seals.get(dialect, _NONE).seal_bytes(value, self.place)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _seals.get(dialect, _NONE).open_bytes(value, self.place)


def _changed(place: str) -> DatabaseError:
    return DatabaseError(
        f"A sealed value of {place} cannot be opened: it was changed, or sealed for another place.",
        next_step="Put the database back from a copy.",
    )
