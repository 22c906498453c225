"""A real server of one file on a loopback port that does what servers do, and a download of it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest

from noibo.modelstore.download.claim import Wanted, claim_of
from noibo.modelstore.download.download import Download, Opener, Patience
from noibo.modelstore.download.pieces import part_of
from noibo.modelstore.download.pieces_table import Cut, table_of
from noibo.modelstore.offer import Fetched
from noibo.modelstore.progress import Cancel, Progress, Report, ignore
from tests.modelstore.loopback import Handler, LoopbackServer

WRITE = 4 * 1024
SMALL = Cut(piece=64 * 1024, chunk=8 * 1024)
QUICK = Patience(2, first_pause_s=0.01, longest_pause_s=0.3, help_s=60, silent_s=20)
Ranges = Literal["served", "ignored", "shifted", "garbled", "endless", "refused"]


def noise(size: int, seed: str = "") -> bytes:
    """Bytes of which none looks like another, so that one out of place shows."""
    return hashlib.shake_256(f"{seed}{size}".encode()).digest(size)


@dataclass
class Trouble:
    """What goes wrong. Lists are used up, an entry a request; numbers are those of requests."""

    ranges: Ranges = "served"
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)  # end the connection after so many bytes
    cut_each: Callable[[int], int] | None = None  # the same, by the number of the request
    flips: dict[int, int] = field(default_factory=dict)  # turn that byte, so many times
    pause_s: float = 0.0  # between writes
    slow: dict[int, float] = field(default_factory=dict)  # the same for one request
    stall_at: dict[int, int] = field(default_factory=dict)  # stand still after so many bytes
    mute: set[int] = field(default_factory=set)  # never answer
    headers: dict[str, str] = field(default_factory=dict)  # said in every answer with the file
    body: bytes | None = None  # sent instead of the file
    has_length: bool = True
    chunked: bool = False
    surplus: int = 0  # bytes more than asked for
    deficit: int = 0  # bytes fewer
    each: Callable[[FileServer, int], None] | None = None  # called before each answer
    sign: bool = False  # send each request to an address of its own, that serves once
    has_if_range: bool = True  # False: whoever asks with If-Range gets the whole file


class FileServer(LoopbackServer):
    """Serves `data` at `/file.bin`, and remembers what it was asked and how many bytes it sent.

    It sends no more than `gate` bytes until the gate is lifted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.trouble = Trouble()
        self.requests: list[dict[str, str]] = []
        self.sent = 0
        self.gate: int | None = None
        self.busy = 0
        self.most_busy = 0
        self.signatures: set[str] = set()
        self.lock = threading.Condition()
        super().__init__(_Handler, server_of=self)
        self.url = f"{self.origin}/file.bin"

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.lift()
        super().__exit__(*_)

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("range") for headers in self.requests]

    def lift(self, gate: int | None = None) -> None:
        """Let so many bytes through in all; None: all."""
        with self.lock:
            self.gate = gate
            self.lock.notify_all()

    def until_idle(self) -> None:
        """Wait until nobody is being answered any more."""
        with self.lock:
            assert self.lock.wait_for(lambda: self.busy == 0, timeout=10)

    def forget(self) -> None:
        """Count from here."""
        self.until_idle()
        self.requests.clear()
        self.sent = 0


class _Handler(Handler):
    server_of: FileServer

    def do_GET(self) -> None:
        server = self.server_of
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.lock:
            server.requests.append(headers)
            number = len(server.requests)
            server.busy += 1
            server.most_busy = max(server.busy, server.most_busy)
        try:
            self._answer(number, headers)
        finally:
            with server.lock:
                server.busy -= 1
                server.lock.notify_all()

    def _answer(self, number: int, headers: dict[str, str]) -> None:
        server, trouble = self.server_of, self.server_of.trouble
        if trouble.each:
            trouble.each(server, number)
        if number in trouble.mute:
            server.stopped.wait()
            self.close_connection = True
        elif trouble.statuses:
            status, more = trouble.statuses.pop(0)
            self._say(status, more | {"Content-Length": "0"})
        elif trouble.sign and self.path not in server.signatures:
            server.signatures.add(signed := f"/file.bin?signature={number}")
            self._say(302, {"Location": signed, "Content-Length": "0"})
        else:
            server.signatures.discard(self.path)
            self._file(number, headers)

    def _say(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, number: int, headers: dict[str, str]) -> None:
        server, trouble = self.server_of, self.server_of.trouble
        data = server.data if trouble.body is None else trouble.body
        first, end = self._asked(headers, len(data))
        said = {"ETag": server.etag or "", "Last-Modified": server.modified or ""}
        said = {name: value for name, value in said.items() if value}
        said |= {"Content-Type": "application/octet-stream"} | trouble.headers
        if first is not None and (trouble.ranges == "refused" or first >= len(data)):
            self._say(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        if first is not None:
            shift = 7 if trouble.ranges == "shifted" else 0
            said["Content-Range"] = f"bytes {first + shift}-{end - 1 + shift}/{len(data)}"
            if trouble.ranges == "garbled":
                said["Content-Range"] = f"octets {first}:{end}"
            if trouble.ranges == "endless":
                said["Content-Range"] = f"bytes {first}-{end - 1}/{'9' * 5000}"
        body = _flipped(data, trouble.flips, first or 0, end)
        body = body[: len(body) - trouble.deficit] + bytes(trouble.surplus)
        if trouble.chunked:
            said["Transfer-Encoding"] = "chunked"
        elif trouble.has_length:
            said["Content-Length"] = str(end - (first or 0))
        else:
            said["Connection"] = "close"
            self.close_connection = True
        self._say(200 if first is None else 206, said)
        self._body(number, body)
        if trouble.surplus or trouble.deficit:
            self._hang_up()

    def _asked(self, headers: dict[str, str], size: int) -> tuple[int | None, int]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if_range = headers.get("if-range")
        unchanged = if_range in {None, self.server_of.etag, self.server_of.modified}
        if if_range and not self.server_of.trouble.has_if_range:
            unchanged = False
        if not asked or not unchanged or self.server_of.trouble.ranges == "ignored":
            return None, size
        return int(asked[1]), min(size, int(asked[2]) + 1 if asked[2] else size)

    def _body(self, number: int, body: bytes) -> None:
        server, trouble, sent = self.server_of, self.server_of.trouble, 0
        cut = trouble.cuts.pop(0) if trouble.cuts else None
        if trouble.cut_each:
            cut = trouble.cut_each(number)
        pause = trouble.slow.get(number, trouble.pause_s)
        if cut is not None and cut < len(body):
            body = body[:cut]
        while sent < len(body):
            size = self._allowed(min(WRITE, len(body) - sent))
            self._write(body[sent : sent + size])
            sent += size
            if sent >= trouble.stall_at.get(number, sent + 1):
                server.stopped.wait()
                return
            if pause:
                server.stopped.wait(pause)
        if cut is not None:
            self._hang_up()
        elif trouble.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _allowed(self, size: int) -> int:
        """How many bytes may go now; waits at the gate. They count as sent."""
        server = self.server_of
        with server.lock:
            while server.gate is not None and server.sent >= server.gate:
                server.lock.wait(0.05)
                self._require_caller()
            if server.gate is not None:
                size = min(size, server.gate - server.sent)
            server.sent += size
        return size

    def _require_caller(self) -> None:
        """Notice while waiting that the caller is gone."""
        self.connection.setblocking(False)
        try:
            if self.connection.recv(1) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            pass
        finally:
            self.connection.setblocking(True)

    def _write(self, data: bytes) -> None:
        if self.server_of.trouble.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


def _flipped(data: bytes, flips: dict[int, int], first: int, end: int) -> bytes:
    body = bytearray(data[first:end])
    for at, times in flips.items():
        if first <= at < end and times:
            body[at - first] ^= 0xFF
            flips[at] = times - 1
    return bytes(body)


@contextmanager
def opener(timeout: float = 2.0) -> Iterator[Opener]:
    """What a download opens addresses with, as a session does."""
    with httpx2.Client(
        trust_env=False, verify=False, timeout=timeout, follow_redirects=True
    ) as client:

        @contextmanager
        def open_url(url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
            with client.stream("GET", url, headers=dict(headers)) as response:
                yield response

        yield open_url


def fetch(url: str, sha256: str | None, target: Path, cut: Cut, connections: int = 4) -> None:
    """A download in a process of its own, to be killed."""
    with opener(5.0) as open_url:
        Download(
            Wanted(url, url, sha256), target, open_url, ignore, QUICK, Cancel(), connections, cut
        ).run()


class Get:
    """A download of the server's file, and what it said."""

    def __init__(self, server: FileServer, folder: Path, **wanted: Any) -> None:
        self.server = server
        self.target = folder / "file.bin"
        self.part = part_of(self.target)
        self.sidecar = claim_of(self.part)
        self.journal = table_of(self.part)
        self.said: list[Progress] = []
        self.cancel = Cancel()
        self.connections = 4
        self.cut = SMALL
        self.timeout = 1.0
        facts = {"sha256": hashlib.sha256(server.data).hexdigest()} | wanted
        self.wanted = Wanted(server.url, server.url, **facts)

    def run(self, patience: Patience = QUICK, report: Report | None = None) -> Fetched:
        with opener(self.timeout) as open_url:
            return Download(
                self.wanted,
                self.target,
                open_url,
                report or self.said.append,
                patience,
                self.cancel,
                self.connections,
                self.cut,
            ).run()

    @property
    def notes(self) -> str:
        return " ".join(one.note for one in self.said if one.note)

    @property
    def here(self) -> list[str]:
        """What lies in the folder, besides locks."""
        found = (path.name for path in self.target.parent.glob("file.bin*"))
        return sorted(name for name in found if not name.endswith(".lock"))

    def leave_part(self, length: int) -> None:
        """Stop a download as Ctrl-C would, when `length` bytes are here."""
        self.server.lift(length)

        def stop(progress: Progress) -> None:
            if progress.done >= length:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(report=stop)
        assert self.part.exists()
        assert not self.target.exists()
        self.server.forget()
        self.server.lift()

    def assert_whole(self) -> None:
        """The file is there, and beside it only its table."""
        name, *others = self.here
        assert others == [f"{name}.pieces"]
        assert self.target.with_name(name).read_bytes() == self.server.data
        assert name == "file.bin" if self.wanted.sha256 else name.startswith("file.bin.")


def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
