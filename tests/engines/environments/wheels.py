"""Tiny real wheels of an engine, and a package index on a loopback port that gives them out.

Their `xllamacpp` has the names that noibo's worker uses, and a server that answers one prompt: so
all of it runs, pip and the worker too, but for llama.cpp itself.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import unquote

ANSWERS = '''
import http.server, json, threading

class _Any:
    """Any parameter, and any constant."""
    def __init__(self): self.__dict__["_said"] = {}
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self._said.setdefault(name, _Any())
    def __setattr__(self, name, value): self._said[name] = value
    def __call__(self, *_, **__): return _Any()

class CommonParams(_Any): pass
ggml_type = llama_flash_attn_type = ggml_numa_strategy = _Any()
llama_pooling_type = llama_split_mode = llama_rope_scaling_type = _Any()
CommonAdapterLoraInfo = _Any

def get_device_info():
    return DEVICES

class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = {"content": " yes", "timings": {"prompt_per_second": 10.0 * len(asked["prompt"])}}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

class Server:
    def __init__(self, params):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{self._server.server_address[1]}"
'''
NO_GPU = "DEVICES = []\n"
A_GPU = (
    'DEVICES = [{"name": "CUDA0", "description": "NVIDIA Test", "type": "GPU", '
    '"memory_total": 2**33, "memory_free": 2**33}]\n'
)
DIES = """
import os, signal, sys
def get_device_info():
    return []
def __getattr__(name):
    print("compiled for another processor", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGILL)
"""
NEVER_READY = (
    "import time\ndef get_device_info():\n    return []\ndef __getattr__(name):\n    1 / 0\n"
)


def wheel(name: str, version: str, module: str, requires: str = "") -> bytes:
    """A wheel with one module of one file, for every system."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
    files = {
        f"{name}/__init__.py": module,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return packed.getvalue()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass
class Index:
    """Wheels by file name. `promised`: digests that its pages say, where those are not true;
    `cut`: files of which only half is sent; `held`: files that come only when `let_go` is set."""

    wheels: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    let_go: threading.Event = field(default_factory=threading.Event)
    waits: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, name: str, version: str, module: str, requires: str = "") -> str:
        """Offer a wheel; its file name."""
        file = f"{name}-{version}-py3-none-any.whl"
        self.wheels[file] = wheel(name, version, module, requires)
        return file

    def page(self, package: str) -> str:
        """What it offers of a package."""
        rows = []
        for file, data in self.wheels.items():
            if file.startswith(f"{package.replace('-', '_')}-"):
                digest = self.promised.get(file) or hashlib.sha256(data).hexdigest()
                rows.append(f'<a href="/files/{file}#sha256={digest}">{file}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>"


@contextmanager
def running(index: Index) -> Iterator[Index]:
    """The index, while it answers at `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            parts = unquote(self.path).strip("/").split("/")
            if parts[0] == "files" and parts[-1] in index.wheels:
                self._give(parts[-1])
            elif len(parts) >= 2 and f"{parts[-1]}-" in "".join(index.wheels):
                self._say(200, index.page(parts[-1]).encode(), "text/html")
            else:
                self._say(404, b"", "text/html")

        def _give(self, file: str) -> None:
            if file in index.held:
                index.waits.set()
                index.let_go.wait(30)
            data = index.wheels[file]
            half = data[: len(data) // 2] if file in index.cut else data
            self._say(200, half, "application/octet-stream")

        def _say(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield index
    finally:
        index.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def pip_alone(index: Index) -> Mapping[str, str]:
    """What makes pip ask this index, whatever the machine's user has set."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": f"{index.url}/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "NO_PROXY": "127.0.0.1",
    }
