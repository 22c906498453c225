"""A bounds-checked walk through the front of a model file.

Every length in a model file is a claim by whoever wrote it. The cursor compares each claim with the
size of the file and with fixed limits before it reads or allocates anything, so that no file, not
even a sparse one of terabytes with hostile counts, takes more than seconds and some hundred
megabytes. It reads in chunks rather than through mmap: a file that shrinks while it is read then
gives an error and not a SIGBUS.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from struct import Struct
from typing import Any, Final, NoReturn

from noibo.errors import BadModelFile, ModelNotFound
from noibo.modelstore.gguf.foreign_files import FETCH_AGAIN
from noibo.modelstore.printable import shown

# Real headers are 2 to 50 MB: a vocabulary of 260,000 tokens with its merges is about 12 MB.
MAX_HEADER_BYTES: Final = 128 * 2**20
# The largest vocabularies have 0.3 million tokens and 0.6 million merges.
MAX_STRINGS: Final = 4 * 2**20
# Keys, names and texts that are kept; a chat template has 10 KB, a whole tokenizer.json 33 MB.
MAX_TEXT_BYTES: Final = 64 * 2**20

_FIRST_CHUNK: Final = 8 * 2**10  # reads double from here, so that a look at a short list is cheap
_LAST_CHUNK: Final = 256 * 2**10
_U64: Final = Struct("<Q")


class Cursor:
    """A position in an open model file. `offset` and `size` are bytes from the file's start."""

    __slots__ = (
        "_buffer",
        "_chunk",
        "_file",
        "_start",
        "_strings_left",
        "_text_left",
        "name",
        "offset",
        "size",
    )

    def __init__(self, file: FileIO, name: str, size: int) -> None:
        self._file = file
        self._buffer = b""
        self._chunk = _FIRST_CHUNK
        self._start = 0  # where in the file the buffer begins
        self._strings_left = MAX_STRINGS
        self._text_left = MAX_TEXT_BYTES
        self.name = name
        self.offset = 0
        self.size = size

    def refuse(self, what: str, next_step: str = FETCH_AGAIN) -> NoReturn:
        """Raise `BadModelFile` about this file."""
        raise BadModelFile(f"{self.name} is not a good model file: {what}.", next_step=next_step)

    def refuse_truncated(self, needed: int) -> NoReturn:
        """Raise `BadModelFile`: `needed` bytes should be there, and are not."""
        self.refuse(
            f"it has {self.size:,} bytes and needs at least {needed:,}; it was cut short, "
            "or its sizes are false",
            "The download is most likely not complete: fetch the file again.",
        )

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end of the file, without moving."""
        position = self._at_hand(min(count, self.size - self.offset))
        return self._buffer[position : position + count]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._check(count)
        position = self._at_hand(count)
        self.offset += count
        return self._buffer[position : position + count]

    def scalar(self, layout: Struct) -> Any:
        """The one value that `layout` describes."""
        self._check(layout.size)
        position = self._at_hand(layout.size)
        self.offset += layout.size
        return layout.unpack_from(self._buffer, position)[0]

    def string(self, what: str, most: int = MAX_TEXT_BYTES) -> bytes:
        """A GGUF string: its length as u64, then its bytes, of which `most` are allowed."""
        length: int = self.scalar(_U64)
        if length > most:
            self.refuse(f"a {what} says it is {length:,} bytes long; {most:,} are allowed")
        self._text_left -= length
        if self._text_left < 0:
            self.refuse(f"its texts are larger than {MAX_TEXT_BYTES // 2**20} MiB together")
        return self.take(length)

    def skip(self, count: int) -> None:
        """Step over `count` bytes."""
        self._check(count)
        self.offset += count

    def skip_strings(self, count: int) -> None:
        """Step over `count` strings without making them."""
        self._strings_left -= count
        if self._strings_left < 0:
            self.refuse(f"its lists hold more than {MAX_STRINGS:,} strings")
        self._check(8 * count)
        unpack = _U64.unpack_from
        while count:
            self._check(8)
            position = self._at_hand(8)
            buffer, last = self._buffer, len(self._buffer) - 8
            while count and position <= last:
                position += 8 + unpack(buffer, position)[0]
                count -= 1
            self.skip(self._start + position - self.offset)

    def _check(self, count: int) -> None:
        end = self.offset + count
        if end > self.size:
            self.refuse_truncated(end)
        if end > MAX_HEADER_BYTES:
            self.refuse(f"its header is larger than {MAX_HEADER_BYTES // 2**20} MiB")

    def _at_hand(self, count: int) -> int:
        """Where in the buffer the next `count` bytes lie; they are read if they do not."""
        position = self.offset - self._start
        if position + count <= len(self._buffer):
            return position
        wanted = min(max(count, self._chunk), self.size - self.offset)
        self._chunk = min(2 * self._chunk, _LAST_CHUNK)
        self._file.seek(self.offset)
        parts = []
        while wanted and (part := self._file.read(wanted)):
            parts.append(part)
            wanted -= len(part)
        self._buffer, self._start = b"".join(parts), self.offset
        if len(self._buffer) < count:
            self.refuse("it became shorter while it was read")
        return 0


@contextmanager
def opened(path: Path) -> Iterator[Cursor]:
    """Open `path` for reading, if it is an ordinary file. A FIFO or device is refused unopened."""
    name = shown(str(path))
    if "\0" in str(path):
        raise _missing(name)
    try:
        _check_ordinary(name, path.stat())
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_ordinary(name, status)
            yield Cursor(file, name, status.st_size)
    except OSError as exc:
        raise _unreadable(name, exc) from exc


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _unreadable(name: str, exc: OSError) -> BadModelFile | ModelNotFound:
    if exc.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}:
        return _missing(name)
    return BadModelFile(
        f"{name} cannot be read: {exc.strerror or exc}.",
        next_step="Check who owns the file and its permissions.",
    )


def _missing(name: str) -> ModelNotFound:
    return ModelNotFound(f"There is no file {name}.", next_step="Check the path.")


def _check_ordinary(name: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise BadModelFile(
            f"{name} is a folder, not a model file.",
            next_step="Name the .gguf file inside it; of a model in parts, the first.",
        )
    if not stat.S_ISREG(status.st_mode):
        raise BadModelFile(
            f"{name} is a pipe, socket or device, not a model file.",
            next_step="Save the model to an ordinary file first.",
        )
