"""A server of models that writes down what it is asked, and answers what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "there",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "xin"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    "its_own": {"field": [1, 2]},
}
CHUNK = {"id": "c", "choices": [{"index": 0, "delta": {"content": "xin"}, "finish_reason": None}]}
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request: its body is read, then the test's answer is given."""

    protocol_version = "HTTP/1.1"
    server: Recording

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        self.server.answer(self)

    def say(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        about = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (about | {n.replace("_", "-"): v for n, v in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def answers(handler: Handler) -> None:
    handler.say(200, json.dumps(ANSWER).encode())


class Recording(ThreadingHTTPServer):
    """Listens on a port of its own while it is entered. `asked`: path, headers, body of each."""

    daemon_threads = True

    def __init__(self, answer: Answer = answers) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
