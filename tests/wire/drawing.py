"""Pictures for tests, right and wrong."""

from __future__ import annotations

import base64
import struct
import zlib


def png(
    width: int,
    height: int,
    colour: tuple[int, int, int] = (200, 30, 30),
    *,
    rows: int | None = None,
    data: bytes | None = None,
    head: bytes | None = None,
    packed: bytes | None = None,
) -> bytes:
    """A picture of one colour. `rows` are fewer than it says; `data` or `packed` is what its rows
    are instead, `head` its header."""
    head = head or struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    if data is None:
        data = (b"\0" + bytes(colour) * width) * (height if rows is None else rows)
    packed = zlib.compress(data, 9) if packed is None else packed
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, body) for name, body in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def url(data: bytes, kind: str = "image/png") -> str:
    """A picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


# 16 by 8 pixels of one red.
JPEG = _bytes(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQ"
    "c1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAIABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAA"
    "AAT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAABAX/xAAUEQEAAAAAAAAAAAAAAAAA"
    "AAAA/9oADAMBAAIRAxEAPwCEAdYf/9k="
)
GIF = _bytes("R0lGODdhEAAIAIEAAMgeHgAAAAAAAAAAACwAAAAAEAAIAAAIFQABCBxIsKDBgwgTKlzIsKHDhwgDAgA7")
WEBP = _bytes("UklGRjIAAABXRUJQVlA4ICYAAABwAQCdASoQAAgAB0CWJaACdAFAAAD+5AFjCaSdH8zfhR8nUAAAAA==")
