"""What is wrong with the head of a request, before anything is done for it.

httptools reads strictly (a length beside chunks, two lengths, folded headers and control characters
are refused by it), and bounds nothing. What it lets pass and two servers could read in two ways is
refused here (RFC 9112, sections 3.2, 6.1 and 11.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from noibo.errors import AddressTooLong, HeadTooLarge, InvalidRequest, NoiboError

MOST_BYTES: Final = 64 * 2**10  # of a head; and of anything else that brings nothing
MOST_HEADERS: Final = 128
MOST_TARGET: Final = 16 * 2**10
_UPGRADE: Final = frozenset({b"upgrade", b"http2-settings"})
_HEADER_BYTES: Final = 4  # ": " and the line's end

Header = tuple[bytes, bytes]


def fault(
    method: bytes, target: bytes, version: str, headers: Sequence[Header], fed: int
) -> NoiboError | None:
    """Why a head is not taken; None: it is. `fed`: the bytes that it came in, or more."""
    if len(target) > MOST_TARGET:
        return too_large(target)
    if len(headers) > MOST_HEADERS:
        return HeadTooLarge(f"The request has more than {MOST_HEADERS} headers.")
    if fed > MOST_BYTES and _size(headers) > MOST_BYTES:
        return too_large(target)
    if method == b"CONNECT" or version not in {"1.0", "1.1"}:
        return InvalidRequest("This server answers HTTP/1.1, and is no proxy.")
    return _ambiguous(version, headers)


def too_large(target: bytes) -> NoiboError:
    """The refusal of a head that is too large, whether or not it has come to its end."""
    if len(target) > MOST_TARGET:
        return AddressTooLong(f"The address of the request is longer than {MOST_TARGET} bytes.")
    return HeadTooLarge(f"The headers of the request are larger than {MOST_BYTES} bytes.")


def _size(headers: Sequence[Header]) -> int:
    return sum(len(name) + len(value) + _HEADER_BYTES for name, value in headers)


def _ambiguous(version: str, headers: Sequence[Header]) -> InvalidRequest | None:
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            return InvalidRequest("Transfer-Encoding may only be chunked, and only in HTTP/1.1.")
    if hosts > 1 or (not hosts and version == "1.1"):
        return InvalidRequest("A request has one Host header.")
    return None


def without_upgrade(method: bytes, target: bytes, version: str, headers: Sequence[Header]) -> bytes:
    """The head again, as of a request that asks for no other protocol.

    None is spoken here, and to ask for one is no more than an offer (RFC 9110, section 7.8):
    clients that offer HTTP/2 with each request (Java's) want their answer in HTTP/1.1.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            kept = b", ".join(token for token in tokens if token.lower() not in _UPGRADE)
            lines += [b"connection: " + kept] if kept else []
        elif name not in _UPGRADE:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
