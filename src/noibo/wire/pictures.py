"""How large a picture is, by its header, before anybody unpacks it.

A picture of a few kilobytes may unpack to gigabytes, or keep its reader busy for hours. The engine
unpacks pictures in C++ and has no bounds of its own, so what is handed to it is looked at here
first: kinds that it reads, no more pixels than a camera makes, no more data than the pixels need.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

MOST_PIXELS: Final = 50_000_000  # a large camera's
LONGEST_SIDE: Final = 2**15
MOST_SCANS: Final = 100  # of a progressive JPEG, each of which is a pass over all of it
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by a PNG's type of colour
_NO_SIZE: Final = frozenset({0xC4, 0xC8, 0xCC})  # JPEG markers among those that give the size
_STEP: Final = 2**20


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's kind and its size in pixels."""

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def look_at(data: bytes) -> Picture:
    """What a picture is. Raises `ValueError` with the reason why it will not be unpacked."""
    size = next((read for start, read in _READERS if start(data)), None)
    if size is None:
        raise ValueError("it is no PNG, JPEG or GIF")
    try:
        picture = size(data)
    except (struct.error, IndexError):
        raise ValueError("it ends in the middle of its header") from None
    if not picture.pixels:
        raise ValueError(f"it has no pixels ({picture.width} × {picture.height})")
    if picture.pixels > MOST_PIXELS or max(picture.width, picture.height) > LONGEST_SIDE:
        raise ValueError(
            f"{picture.width:,} × {picture.height:,} pixels are more than {MOST_PIXELS:,}"
            f" or longer than {LONGEST_SIDE:,}"
        )
    if picture.kind == "png":
        _require_no_more_than_pixels(data, picture)
    return picture


def _png(data: bytes) -> Picture:
    if data[12:16] != b"IHDR":
        raise ValueError("it is a PNG without a header")
    width, height, _depth, _colour = struct.unpack_from(">IIBB", data, 16)
    return Picture("png", width, height)


def _require_no_more_than_pixels(data: bytes, picture: Picture) -> None:
    """A PNG's rows are packed; whatever they unpack to is held in memory whole."""
    depth, colour = data[24], data[25]
    row = 1 + -(-picture.width * depth * _CHANNELS.get(colour, 4) // 8)
    room = 2 * picture.height * row + _STEP  # interlaced, it has some more rows
    unpacker, unpacked = zlib.decompressobj(), 0
    for piece in _png_data(data):
        rest = piece
        while rest:
            try:
                unpacked += len(unpacker.decompress(rest, _STEP))
            except zlib.error:
                raise ValueError("its data are damaged") from None
            rest = unpacker.unconsumed_tail
            if unpacked > room:
                raise ValueError("it unpacks to far more than its pixels")
    if not unpacker.eof:
        raise ValueError("it is cut off")


def _png_data(data: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def _jpeg(data: bytes) -> Picture:
    if data.count(b"\xff\xda") > MOST_SCANS:
        raise ValueError(f"it is a JPEG of more than {MOST_SCANS} scans")
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("it is a damaged JPEG")
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Picture("jpeg", width, height)
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def _gif(data: bytes) -> Picture:
    return Picture("gif", *struct.unpack_from("<HH", data, 6))


def _webp(data: bytes) -> Picture:
    """The engine has no reader of its own for it: it would start another program on it."""
    raise ValueError("it is a WebP, which the engine does not read; make it a PNG or JPEG")


_READERS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Picture]], ...]] = (
    (lambda data: data.startswith(_PNG), _png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda data: data.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
)
