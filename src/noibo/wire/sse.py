"""Server-sent events, read and written. After the WHATWG HTML standard, section 9.2.6."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

DONE: Final = b"[DONE]"
# A comment: it says only that the connection is alive.
ALIVE: Final = b": alive\n\n"
# CR LF is one line end and never two.
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class EventBuffer:
    """Collects bytes until whole events are there. Feed it chunks of any size.

    Lines may end as the standard has it, in CR, LF or both; what is given back has LF only, so that
    whoever looks at it needs to know of no other."""

    def __init__(self, largest: int = 64 * 2**20) -> None:
        self._rest = bytearray()
        self._largest = largest
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """The bytes up to and with the last whole event; what follows waits for more."""
        rest = self._rest
        start = max(len(rest) - 3, 0)  # a blank line may have been cut in two
        rest += chunk
        end = rest.rfind(b"\n\n", start) + 2
        if rest.find(b"\r", start) >= 0:
            end = max((blank.end() for blank in _BLANK_LINE.finditer(rest, start)), default=end)
        if end < 2:
            if len(rest) > self._largest:
                raise ValueError(f"an event of more than {self._largest} bytes")
            return b""
        whole = bytes(rest[:end])
        del rest[:end]
        return whole if self._begun and b"\r" not in whole else self._plain(whole)

    def end(self) -> bytes:
        """What came after the last whole event, as an event: some streams forget the blank line. A
        line that was cut off is none; only an end mark is known to be whole without its line end.
        """
        last, self._rest = self._plain(bytes(self._rest)), bytearray()
        lines, _, cut_off = last.rpartition(b"\n")
        whole = last if data(cut_off) == DONE else lines
        return whole + b"\n\n" if whole.strip() else b""

    def _plain(self, block: bytes) -> bytes:
        """Without the byte order mark that a stream may begin with, and with LF only."""
        if not self._begun:
            self._begun, block = True, block.removeprefix(codecs.BOM_UTF8)
        return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._rest)


def events(block: bytes) -> Iterator[bytes]:
    """The events of a block that an `EventBuffer` gave, each with its blank line."""
    for event in block.split(b"\n\n"):
        if event := event.strip(b"\n"):
            yield event + b"\n\n"


def data(event: bytes) -> bytes:
    """The data of one event: its `data` lines, joined; empty for a comment."""
    if event.startswith(b"data: ") and event.find(b"\n") == event.find(b"\n\n") == len(event) - 2:
        return event[6:-2]  # as nearly all are
    return b"\n".join(_values(event, b"data"))


def _values(event: bytes, name: bytes) -> Iterator[bytes]:
    """What an event's lines of one name say."""
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == name:
            yield value.removeprefix(b" ")


def comment(text: str) -> bytes:
    """A comment, which readers of events pass over; `text` has no line break."""
    return f": {text}\n\n".encode()


def remark(event: bytes) -> str:
    """The comment in one event; empty where there is none."""
    lines = (line[1:].strip() for line in event.split(b"\n") if line.startswith(b":"))
    return b" ".join(lines).decode(errors="replace")


def name(event: bytes) -> str:
    """What kind of event it is; "message" for one that does not say."""
    *_, last = b"", *_values(event, b"event")
    return last.decode(errors="replace") or "message"


def event(payload: bytes, name: str = "") -> bytes:
    """One event that carries `payload`, which has no line break (JSON has none)."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + payload + b"\n\n"
