"""A server of models beyond this machine: it writes down every byte that it is sent, and answers as
a test wants. By itself it says again what it was told last, a few characters at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Self

from tests.elsewhere_address import OUTER


@dataclass
class Sent:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: Any = None


@dataclass
class Script:
    """How it answers: `answer` by itself, else in `pieces` of so many characters, with that
    `usage`."""

    answer: Callable[[Handler, Sent], None] | None = None
    text: Callable[[Any], str] | None = None
    pieces: int = 3
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7}
    )


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Cloud

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        sent = Sent(self.path, dict(self.headers), raw, json.loads(raw))
        self.server.sent.append(sent)
        (self.server.script.answer or answers)(self, sent)

    def do_GET(self) -> None:
        self.server.sent.append(Sent(self.path, dict(self.headers), b""))
        self.say(200, {"object": "list", "data": [{"id": "first-there"}, {"id": "second"}]})

    def say(self, status: int, body: Any, **headers: str) -> None:
        """A whole answer."""
        said = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        about = {"Content-Type": "application/json", "Content-Length": str(len(said))}
        for name, value in (about | {n.replace("_", "-"): v for n, v in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    def begin(self) -> None:
        """A stream."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, body: Any) -> None:
        """One event of it."""
        said = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        self.wfile.write(f"data: {said}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Cloud(ThreadingHTTPServer):
    """Listens while it is entered. `sent`: all that has come."""

    daemon_threads = True

    def __init__(self, host: str = OUTER) -> None:
        super().__init__((host, 0), Handler)
        self.script = Script()
        self.sent: list[Sent] = []
        self.host = f"{host}:{self.server_address[1]}"
        self.url = f"http://{self.host}/v1"

    def server_bind(self) -> None:
        """Without looking its own address up in DNS, which would leave this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]

    def handle_error(self, *_: Any) -> None:
        """Callers that leave are no fault."""

    def everything(self) -> str:
        """All bytes of all requests, as text, without JSON's escapes."""
        found = []
        for one in self.sent:
            found += [one.path, json.dumps(one.headers), one.raw.decode(errors="replace")]
            found.append(json.dumps(one.body, ensure_ascii=False))
        return "\n".join(found)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


def answers(handler: Handler, sent: Sent) -> None:
    """What it was told last, said again."""
    script, body = handler.server.script, sent.body
    text = (script.text or told_last)(body)
    chat = sent.path.endswith("/chat/completions")
    if "embeddings" in sent.path:
        data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
        handler.say(200, {"object": "list", "data": data, "usage": {"prompt_tokens": 3}})
        return
    about = {"id": "c1", "object": "chat.completion", "created": 1, "model": "there"}
    if not body.get("stream"):
        choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choices = [{"index": 0, "finish_reason": "stop", **choice}]
        usage = {"usage": script.usage} if script.usage else {}
        handler.say(200, {**about, "choices": choices, **usage})
        return
    handler.begin()
    for start in range(0, len(text), script.pieces):
        piece = text[start : start + script.pieces]
        said = {"delta": {"content": piece}} if chat else {"text": piece}
        handler.event({**about, "choices": [{"index": 0, "finish_reason": None, **said}]})
    last = {"delta": {}} if chat else {"text": ""}
    handler.event({**about, "choices": [{"index": 0, "finish_reason": "stop", **last}]})
    if script.usage and (body.get("stream_options") or {}).get("include_usage"):
        handler.event({**about, "choices": [], "usage": script.usage})
    handler.event("[DONE]")


def told_last(body: Any) -> str:
    """The last text that it was told."""
    if "prompt" in body:
        return str(body["prompt"])
    content = body["messages"][-1].get("content") if body.get("messages") else ""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content)
