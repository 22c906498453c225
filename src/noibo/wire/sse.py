"""Server-sent events, read and written. After the WHATWG HTML standard, section 9.2.6."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

DONE: Final = b"[DONE]"


class EventBuffer:
    """Collects bytes until whole events are there. Feed it chunks of any size."""

    def __init__(self, largest: int = 64 * 2**20) -> None:
        self._rest = b""
        self._largest = largest

    def feed(self, chunk: bytes) -> bytes:
        """The bytes up to and with the last whole event; what follows waits for more."""
        self._rest += chunk
        end = max(
            self._rest.rfind(blank) + len(blank) if blank in self._rest else 0
            for blank in (b"\n\n", b"\r\n\r\n")
        )
        if not end:
            if len(self._rest) > self._largest:
                raise ValueError(f"an event of more than {self._largest} bytes")
            return b""
        whole, self._rest = self._rest[:end], self._rest[end:]
        return whole

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest


def events(block: bytes) -> Iterator[bytes]:
    """The events of a block of whole events, each with its blank line."""
    for event in block.replace(b"\r\n", b"\n").split(b"\n\n"):
        if event.strip(b"\n"):
            yield event + b"\n\n"


def data(event: bytes) -> bytes:
    """The data of one event: its `data` lines, joined; empty for a comment."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line[4:5] == b":")


def event(payload: bytes) -> bytes:
    """One event that carries `payload`, which has no line break (JSON has none)."""
    return b"data: " + payload + b"\n\n"
