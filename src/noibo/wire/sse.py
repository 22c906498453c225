"""Server-sent events, read and written. After the WHATWG HTML standard, section 9.2.6."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

DONE: Final = b"[DONE]"
# A comment: it says only that the connection is alive.
ALIVE: Final = b": alive\n\n"


class EventBuffer:
    """Collects bytes until whole events are there. Feed it chunks of any size."""

    def __init__(self, largest: int = 64 * 2**20) -> None:
        self._rest = bytearray()
        self._largest = largest

    def feed(self, chunk: bytes) -> bytes:
        """The bytes up to and with the last whole event; what follows waits for more."""
        start = max(len(self._rest) - 3, 0)  # a blank line may have been cut in two
        self._rest += chunk
        end = 0
        for blank in (b"\n\n", b"\r\n\r\n"):
            if (at := self._rest.rfind(blank, start)) >= 0:
                end = max(end, at + len(blank))
        if not end:
            if len(self._rest) > self._largest:
                raise ValueError(f"an event of more than {self._largest} bytes")
            return b""
        whole = bytes(self._rest[:end])
        del self._rest[:end]
        return whole

    def end(self) -> bytes:
        """What came after the last whole event, as an event: some streams forget the blank line."""
        last, self._rest = bytes(self._rest), bytearray()
        return last + b"\n\n" if last.strip() else b""

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._rest)


def events(block: bytes) -> Iterator[bytes]:
    """The events of a block of whole events, each with its blank line."""
    for event in block.replace(b"\r\n", b"\n").split(b"\n\n"):
        if event.strip(b"\n"):
            yield event + b"\n\n"


def data(event: bytes) -> bytes:
    """The data of one event: its `data` lines, joined; empty for a comment."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line[4:5] == b":")


def comment(text: str) -> bytes:
    """A comment, which readers of events pass over; `text` has no line break."""
    return f": {text}\n\n".encode()


def remark(event: bytes) -> str:
    """The comment in one event; empty where there is none."""
    lines = (line[1:].strip() for line in event.split(b"\n") if line.startswith(b":"))
    return b" ".join(lines).decode(errors="replace")


def name(event: bytes) -> str:
    """What kind of event it is; "message" for one that does not say."""
    lines = (line[6:].strip() for line in event.split(b"\n") if line.startswith(b"event:"))
    return next(lines, b"").decode(errors="replace") or "message"


def event(payload: bytes, name: str = "") -> bytes:
    """One event that carries `payload`, which has no line break (JSON has none)."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + payload + b"\n\n"
