"""How fast a download is: noibo's, checked and journaled, against a plain stream to a file.

The server is this machine, in a process of its own. The plain stream is `httpx2` writing to a file,
with no digest and nothing to go on with; a second one takes the SHA-256 on its way, as anybody must
who wants to know what came. A network is slower than either; here the work itself is compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2

from benchmarks.measuring import ratio, table
from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.download import Download, Patience
from noibo.modelstore.progress import ignore

MEGABYTES = 400
ROUNDS = 5


class Handler(http.server.BaseHTTPRequestHandler):
    """Ranges of one file, sent by the system itself."""

    protocol_version = "HTTP/1.1"
    path_of_file = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        size = Path(self.path_of_file).stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        end = min(size, int(asked[2]) + 1) if asked and asked[2] else size
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - first))
        self.end_headers()
        with open(self.path_of_file, "rb") as file:  # noqa: PTH123
            self.wfile.flush()
            self.connection.sendfile(file, first, end - first)


def serve(path: Path, tell: Connection) -> None:
    Handler.path_of_file = str(path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    tell.send(server.server_address[1])
    server.serve_forever()


@contextlib.contextmanager
def serving(path: Path) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(path, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/model.gguf"
    finally:
        process.kill()
        process.join()


def plain(client: httpx2.Client, url: str, target: Path, with_digest: bool) -> None:
    digest = hashlib.sha256()
    with client.stream("GET", url) as response, target.open("wb", buffering=0) as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            if with_digest:
                digest.update(chunk)


def ours(client: httpx2.Client, url: str, target: Path, connections: int) -> None:
    @contextlib.contextmanager
    def open_url(address: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        with client.stream("GET", address, headers=dict(headers)) as response:
            yield response

    wanted = Wanted(url, "the file")
    Download(wanted, target, open_url, ignore, Patience(), connections=connections).run()


def run() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        source = folder / "source"
        with source.open("wb") as file:
            for number in range(MEGABYTES):
                file.write(hashlib.shake_256(str(number).encode()).digest(1000) * 1000)
        with serving(source) as url, httpx2.Client(trust_env=False) as client:
            kinds: dict[str, Callable[[Path], None]] = {
                "plain stream": lambda target: plain(client, url, target, False),
                "plain stream with SHA-256": lambda target: plain(client, url, target, True),
                "noibo, 1 connection": lambda target: ours(client, url, target, 1),
                "noibo, 4 connections": lambda target: ours(client, url, target, 4),
            }
            took = measure(kinds, folder)
    rows: list[list[object]] = [["way", "MB/s", "time × plain", "smallest", "largest"]]
    result: dict[str, object] = {}
    for name, seconds in took.items():
        times = ratio(seconds, took["plain stream"])
        rate = MEGABYTES / sorted(seconds)[len(seconds) // 2]
        rows.append([name, rate, *times])
        result[name] = {"mb_per_s": rate, "time_ratio": times}
    table(rows)
    return result


def measure(kinds: dict[str, Callable[[Path], None]], folder: Path) -> dict[str, list[float]]:
    """All ways in turn, the order reversed each time: what drifts drifts for all."""
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(ROUNDS):
        names = list(kinds) if number % 2 else list(reversed(kinds))
        for name in names:
            target = folder / "target"
            began = time.perf_counter()
            kinds[name](target)
            took[name].append(time.perf_counter() - began)
            for path in folder.glob("target*"):
                path.unlink()
    return took
