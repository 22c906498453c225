"""A file at an address that is read only where somebody looks: the directory of a large zip.

Blocks come by HTTP ranges as they are wanted, and are kept; the end of the file, where a zip has
its directory, comes first. How much is read in all is bounded, whatever the zip says of itself.
"""

from __future__ import annotations

import io
from typing import Final

import httpx2

from noibo.errors import FetchError
from noibo.modelstore.download.answer import Asking, Opener
from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.faults import (
    AskAnew,
    FileChanged,
    FromTheStart,
    PassingFault,
    Patience,
)
from noibo.modelstore.progress import Cancel
from noibo.modelstore.web.faults import is_lasting, network_fault

BLOCK: Final = 32 * 2**10
TAIL: Final = 64 * 2**10  # of the end, by the first request for more than a byte
MOST: Final = 16 * 2**20


class NoRanges(Exception):
    """The server gives the file only whole."""


class RangedFile(io.RawIOBase):
    """Bytes of a server's file, as far as they are read.

    Raises `NoRanges`, `Cancelled`, or a `FetchError` (`AccessNeeded`, `NotOffered`)."""

    def __init__(
        self, wanted: Wanted, open_url: Opener, patience: Patience, cancel: Cancel
    ) -> None:
        super().__init__()
        self._wanted = wanted
        self._asking = Asking(wanted, open_url)
        self._patience = patience
        self._cancel = cancel
        self._blocks: dict[int, bytes] = {}
        self._taken = 0
        self._at = 0
        self._size = 0
        self._fetch(0, 1)  # says how long the file is
        self._bring(max(0, self._size - TAIL), self._size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning")  # as any file would; zipfile knows it
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        self._bring(self._at, end)
        first, last = self._at // BLOCK, (end - 1) // BLOCK
        data = b"".join(self._blocks[index] for index in range(first, last + 1))
        begin = self._at - first * BLOCK
        buffer[: end - self._at] = data[begin : begin + end - self._at]
        count, self._at = end - self._at, end
        return count

    def _bring(self, start: int, end: int) -> None:
        """Have every block of a stretch here; what is missing between two comes in one."""
        missing = [
            index for index in range(start // BLOCK, -(-end // BLOCK)) if index not in self._blocks
        ]
        if not missing:
            return
        first, last = missing[0], missing[-1]
        data = self._fetch(first * BLOCK, min(self._size, (last + 1) * BLOCK))
        for index in range(first, last + 1):
            at = (index - first) * BLOCK
            self._blocks[index] = data[at : at + BLOCK]

    def _fetch(self, start: int, end: int) -> bytes:
        self._taken += end - start
        if self._taken > MOST:
            raise FetchError(f"What {self._wanted.shown} says of itself is too long to read.")
        fault = 0
        while True:
            self._cancel.check()
            try:
                return self._ask(start, end)
            except AskAnew:
                continue
            except (FromTheStart, FileChanged) as exc:
                raise self._only_whole() from exc
            except (PassingFault, httpx2.TransportError) as exc:
                fault += 1
                self._cancel.wait(self._pause(fault, exc))

    def _only_whole(self) -> NoRanges:
        return NoRanges(f"{self._wanted.shown} can only be fetched whole.")

    def _pause(self, fault: int, exc: PassingFault | httpx2.TransportError) -> float:
        if isinstance(exc, PassingFault):
            said, asked, lasts = str(exc), exc.wait, False
        else:
            said, asked, lasts = network_fault(exc), None, is_lasting(exc)
        if lasts or fault > self._patience.retries:
            raise FetchError(
                f"{self._wanted.shown} could not be fetched: {said}.",
                next_step="The same command tries again.",
            ) from exc
        pause = self._patience.pause(fault)
        return min(max(pause, asked or 0.0), self._patience.longest_pause_s)

    def _ask(self, start: int, end: int) -> bytes:
        with self._asking.ask(start, end) as answer:
            if answer.is_whole:
                raise self._only_whole()
            if self._asking.known is None:
                self._asking.known, self._size = answer.claim, answer.claim.total or 0
            taken = bytearray()
            for data in answer.response.iter_raw():
                self._cancel.check()
                taken += data[: end - start - len(taken)]
                if len(taken) == end - start:
                    return bytes(taken)
        if answer.is_empty:
            return b""
        raise PassingFault("the connection ended early")
