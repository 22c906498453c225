"""A caller that writes bytes of its own choice on a connection, and listens, or does not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 30.0
Answers = list[tuple[int, bytes]]


def connect(url: str, receive_bytes: int | None = None) -> socket.socket:
    """A connection to a server; `receive_bytes`: what its kernel takes in that it does not read."""
    where = urlsplit(url)
    one = socket.socket()
    if receive_bytes is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    one.settimeout(PATIENCE_S)
    one.connect((where.hostname, where.port))
    return one


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A request as bytes; `length`: what it says of itself."""
    said = len(body) if length is None else length
    return head("POST", path, f"Content-Length: {said}", *headers) + body


def head(method: str, path: str, *headers: str) -> bytes:
    """The head of a request, with the line that ends it."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def completion(**more: Any) -> bytes:
    """The body of a completion by the echo engine."""
    return json.dumps({"model": "echo", "prompt": "a b c", **more}).encode()


def hear(one: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    heard = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := one.recv(2**16):
            heard += piece
    return bytes(heard)


def say(url: str, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Say the pieces on a new connection; all that is heard until it is closed."""
    with connect(url) as one:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                one.sendall(piece)
                time.sleep(pause_s)
        return hear(one)


def statuses(heard: bytes) -> list[int]:
    """The status of each answer in it."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) \w", heard)]


def error(heard: bytes) -> dict[str, Any]:
    """The error of the last answer in it."""
    found: dict[str, Any] = json.loads(heard.rpartition(b"\r\n\r\n")[2])["error"]
    return found
