"""A file that is sealed piece by piece, so that it can be written and read without being whole in
memory, and read from its middle.

    NBF1 · key (8 digits) · salt (16 bytes) · frames of 64 KiB, each with a tag of 16 bytes

Each file has a key of its own, made of the seal's key and its salt; a frame is sealed by its number
(the nonce), and says whether it is the last. So a frame that was changed, moved, taken from another
file, or cut off at the end, is seen when it is read.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

from noibo.database.seal import KEY_BYTES, Seal, SealKey
from noibo.errors import DatabaseError

MARK: Final = b"NBF1"
FRAME: Final = 2**16
_TAG: Final = 16
_HEAD: Final = len(MARK) + 8 + 16
_LAST, _MORE = b"last", b"more"


class SealedWriter:
    """Seals what is written to an open file. `finish` once, when it is whole."""

    def __init__(self, file: BinaryIO, key: SealKey) -> None:
        salt = os.urandom(16)
        self._file = file
        self._cipher = _cipher(key, salt)
        self._rest = bytearray()
        self._number = 0
        file.write(MARK + key.name.encode() + salt)

    def write(self, data: bytes) -> None:
        """More of it."""
        self._rest += data
        while len(self._rest) > FRAME:  # the last frame is never sealed before the end is known
            self._put(bytes(self._rest[:FRAME]), _MORE)
            del self._rest[:FRAME]

    def finish(self) -> None:
        """That was all."""
        self._put(bytes(self._rest), _LAST)
        self._rest.clear()

    def _put(self, frame: bytes, what: bytes) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number), frame, what))
        self._number += 1


class SealedReader(io.RawIOBase):
    """The content of a sealed file. Raises `DatabaseError` where it was changed."""

    def __init__(self, file: BinaryIO, seal: Seal) -> None:
        super().__init__()
        head = file.read(_HEAD)
        name, salt = head[len(MARK) : len(MARK) + 8], head[len(MARK) + 8 :]
        self._file = file
        self._cipher = _cipher(seal.key(name.decode("ascii", "replace")), salt)
        sealed = os.fstat(file.fileno()).st_size - _HEAD
        self._frames = max(1, -(-sealed // (FRAME + _TAG)))
        self.size = max(0, sealed - self._frames * _TAG)
        self._place = 0
        self._frame: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = max(0, begin + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        number, within = divmod(self._place, FRAME)
        if number >= self._frames:
            return 0
        data = self._at(number)[within : within + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _at(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        if self._frame[0] != number:
            self._file.seek(_HEAD + number * (FRAME + _TAG))
            sealed = self._file.read(FRAME + _TAG)
            what = _LAST if number == self._frames - 1 else _MORE
            try:
                self._frame = (number, self._cipher.decrypt(_nonce(number), sealed, what))
            except (InvalidTag, ValueError):
                raise DatabaseError(
                    "A sealed file cannot be opened: it was changed, or cut off.",
                    next_step="Put it back from a copy, or upload it again.",
                ) from None
        return self._frame[1]


def open_file(path: Path, seal: Seal) -> BinaryIO:
    """The content of a file, sealed or not. Raises `DatabaseError`, `OSError`."""
    file = path.open("rb")
    try:
        if not _begins_sealed(file):
            return file
        return io.BufferedReader(SealedReader(file, seal), FRAME)
    except BaseException:
        file.close()
        raise


def key_of(path: Path) -> str:
    """The name of the key that a file is sealed by; empty for one that is not. Raises `OSError`."""
    with path.open("rb") as file:
        if not _begins_sealed(file):
            return ""
        return file.read(_HEAD)[len(MARK) : len(MARK) + 8].decode("ascii")


def _begins_sealed(file: BinaryIO) -> bool:
    """By its first bytes; it stands at its beginning then."""
    head = file.read(_HEAD)
    file.seek(0)
    name = head[len(MARK) : len(MARK) + 8]
    return len(head) == _HEAD and head.startswith(MARK) and not name.strip(b"0123456789abcdef")


def _cipher(key: SealKey, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=salt, info=b"files").derive(key.secret))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
