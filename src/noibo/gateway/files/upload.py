"""Takes an upload in as it comes: its file goes to the disk in pieces, never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from noibo.errors import BodyTooLarge, InvalidRequest
from noibo.gateway.files.contents import Incoming
from noibo.gateway.files.files import Files
from noibo.wire.files import ROOM_FOR_FORM

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_PIECE: Final = 2**20
_LONGEST_FIELD: Final = 2**16
_MOST_PARTS: Final = 32
FILE: Final = "file"


class Upload:
    """One multipart body. `form` has its plain fields, `incoming` its file, `name` what that is
    called."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.form: dict[str, str] = {}
        self.name = ""
        self.incoming: Incoming | None = None
        self._parts = _Parts()

    async def read(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """Take it all. Raises `InvalidRequest`, `BodyTooLarge`, `DiskFull`."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise InvalidRequest(
                "The body is no multipart/form-data.",
                next_step="Send the file as a form: -F purpose=batch -F file=@FILE.",
            )
        try:
            # It bounds the headers of each part, in number and length.
            parser = MultipartParser(options[b"boundary"], self._parts.callbacks())
            room = self._files.largest + ROOM_FOR_FORM
            async for chunk in body:
                room -= len(chunk)
                if room < 0:
                    raise self._too_large()
                parser.write(chunk)
                await self._take(self._parts.drain())
            parser.finalize()
            await self._take(self._parts.drain())
        except FormParserError as exc:
            raise InvalidRequest(f"The form cannot be read: {exc}.") from exc
        if not self._parts.ended:
            raise InvalidRequest("The form is cut off.", next_step="Upload it again.")
        self._read_fields()

    async def abandon(self) -> None:
        """Keep nothing of it."""
        if self.incoming is not None:
            await asyncio.to_thread(self.incoming.abandon)

    async def _take(self, data: bytes) -> None:
        if self._parts.has_file and self.incoming is None:
            self.incoming = await self._files.start()
        if not data or self.incoming is None:
            return
        if self.incoming.size + len(data) > self._files.largest:
            raise self._too_large()
        await asyncio.to_thread(self.incoming.write, data)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The file is larger than {self._files.largest} bytes.",
            next_step="Send it in parts, or raise server.max_file_bytes.",
        )

    def _read_fields(self) -> None:
        self.name = self._parts.file_name
        for name, value in self._parts.fields:
            if name in self.form:
                raise InvalidRequest(f"{name[:60]} is there twice.", param=name[:60])
            try:
                self.form[name] = value.decode()
            except UnicodeDecodeError:
                raise InvalidRequest(f"{name[:60]} is no UTF-8.", param=name[:60]) from None


class _Parts:
    """What the parser tells, put together: plain fields, and pieces of the file."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.file_name = ""
        self.has_file = False
        self.ended = False
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._field: str | None = None
        self._value = bytearray()
        self._file_data = bytearray()
        self._count = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._name_piece,
            "on_header_value": self._value_piece,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all_end,
        }

    def drain(self) -> bytes:
        """What came of the file since the last time, when it is worth writing."""
        if len(self._file_data) < _PIECE and not self.ended:
            return b""
        data = bytes(self._file_data)
        self._file_data.clear()
        return data

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise InvalidRequest(f"The form has more than {_MOST_PARTS} parts.")
        self._disposition = b""
        self._value.clear()

    def _name_piece(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value_piece(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        self._field = None
        if name != FILE:
            self._field = name
        elif self.has_file:
            raise InvalidRequest("There is more than one file.", param=FILE)
        elif b"filename" not in options:
            raise InvalidRequest(
                "file is a text.", param=FILE, next_step="Send it with a filename: -F file=@FILE."
            )
        else:
            self.has_file = True
            self.file_name = _clean(options[b"filename"])

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file_data += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > _LONGEST_FIELD:
            raise InvalidRequest(f"{self._field[:60]} is too long.", param=self._field[:60])

    def _end(self) -> None:
        if self._field is not None:
            self.fields.append((self._field, bytes(self._value)))

    def _all_end(self) -> None:
        self.ended = True


def _clean(name: bytes) -> str:
    """A file's name for people: no folder, no control characters. It never names a file here."""
    text = name.decode(errors="replace").replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in text if c.isprintable())[:255] or "file"
