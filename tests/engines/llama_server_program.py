"""A program that is started, logs and answers as llama-server does: for tests of what runs one.

It knows the options of the help text that a test puts in place of HELP, refuses any other as
llama-server does, and takes its key from where that help says. With a model file that is large
enough it hands all to the real engine; else it says back what it was sent.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HELP = "HELP"
DEVICES = "Available devices:\n"
VERSION = (
    "version: 6923 (76af40aaa)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n"
)
REAL = 10**6  # bytes of a model
SECRET = ""  # a file of the user's that it tries to read, where a test says so
LISTENER = 0  # a port of this machine that it tries to reach


def options(given: list[str]) -> dict[str, str]:
    """What it was told, by the last of an option's names."""
    known: dict[str, tuple[str, bool]] = {}
    for line in HELP.splitlines():
        if line.startswith("-"):
            head = re.split(r"\s{2,}", re.sub(r",\s+", ", ", line))[0]
            names = re.findall(r"--?[a-zA-Z][\w-]*", head)
            wants = bool(re.search(r"[\w-] (?:[A-Z_]+|\{.*\}|\[.*\]|<.*>)$", head))
            known |= {name: (names[-1] if len(names) < 4 else name, wants) for name in names}
    said: dict[str, str] = {}
    left = list(given)
    while left:
        name = left.pop(0)
        if name not in known:
            sys.exit(f"error: invalid argument: {name}")
        said[name] = left.pop(0) if known[name][1] else ""
    return said


class Server(BaseHTTPRequestHandler):
    key = ""
    slots = 1

    def do_GET(self) -> None:
        if self.allowed() and self.path == "/slots":
            self.say([{"id": n, "is_processing": False} for n in range(self.slots)])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path == "/completion":
            tokens = len(body["prompt"])
            timings = {"prompt_n": tokens, "prompt_per_second": 250.0, "predicted_n": 1}
            self.say({"content": "x", "timings": timings})
        elif self.path == "/tokenize":
            self.say({"tokens": list(range(len(body["content"].split())))})
        else:
            self.stream(body["messages"][-1]["content"])

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.key}":
            return True
        self.say({"error": {"message": "Invalid API Key", "code": 401}}, 401)
        return False

    def stream(self, text: str) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        event = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"data: " + event + b"\n\ndata: [DONE]\n\n")

    def say(self, value: Any, status: int = 200) -> None:
        said = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """As llama-server without --verbose."""


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tried() -> dict[str, str]:
    """What it did beside its work: "done", or the name of the error."""
    return {"read": outcome(read), "connect": outcome(connect), "listen": outcome(listen)}


def outcome(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    return "done"


def read() -> None:
    Path(SECRET).read_text()


def connect() -> None:
    socket.create_connection(("127.0.0.1", LISTENER), 5).close()


def listen() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()


def serve(said: dict[str, str]) -> None:
    key = os.environ.get("LLAMA_API_KEY", "") if "LLAMA_API_KEY" in HELP else ""
    if "--api-key-file" in said:
        key = Path(said["--api-key-file"]).read_text().strip()
    log(f"build: 6923 (76af40aaa) with cc for x86_64-linux-gnu; key {key[:4]}{key[4:]}")
    model = Path(said["--model"])
    with model.open("rb") as file:
        if file.read(4) != b"GGUF":
            log(f"gguf_init_from_file_impl: invalid magic characters in '{model}'")
            log(f"main: failed to load model, '{model}'")
            sys.exit(1)
    log(f"srv    load_model: loading model '{model}'")
    if SECRET:
        log(f"tried: {json.dumps(tried())}")
    port = int(said["--port"])
    if model.stat().st_size > REAL:
        start_real(said, key, port)
    else:
        Server.key, Server.slots = key, int(said["--parallel"])
        server = ThreadingHTTPServer((said["--host"], port), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    log("main: model loaded")
    log(f"main: server is listening on http://{said['--host']}:{port} - starting the main loop")
    log("srv  update_slots: all slots are idle")
    threading.Event().wait()


def start_real(said: dict[str, str], key: str, port: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.api_keys = said["--model"], port, [key]
    params.n_ctx, params.n_parallel = int(said["--ctx-size"]), int(said["--parallel"])
    params.n_batch = params.n_ubatch = int(said["--batch-size"])
    params.hostnames, params.endpoint_slots, params.ui = [said["--host"]], True, False
    params.fit_params = False
    globals()["kept"] = xllamacpp.Server(params)


if __name__ == "__main__":
    if "--version" in sys.argv:
        log(VERSION)
    elif "--help" in sys.argv:
        print(HELP)
    elif "--list-devices" in sys.argv:
        print(DEVICES)
    else:
        serve(options(sys.argv[1:]))
