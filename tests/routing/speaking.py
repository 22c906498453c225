"""A server that speaks OpenAI's protocol on loopback and answers by script, for tests of what asks
two of them; and a classifier that says what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from noibo.routing.complexity import Complexity
from noibo.routing.features import Query

Json = dict[str, Any]
Script = Callable[[Json], tuple[int, Json, dict[str, str]]]


def says(text: str, finish: str = "stop", logprobs: list[float] | None = None) -> Script:
    """It answers so."""

    def answer(asked: Json) -> tuple[int, Json, dict[str, str]]:
        choice: Json = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
        }
        if logprobs is not None and asked.get("logprobs"):
            choice["logprobs"] = {"content": [{"logprob": one} for one in logprobs]}
        return 200, {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]}, {}

    return answer


def fails(status: int, message: str = "no", code: str = "", **headers: str) -> Script:
    """It answers with an error."""
    error = {"error": {"message": message, "code": code}}
    return lambda asked: (status, error, {name.replace("_", "-"): v for name, v in headers.items()})


@dataclass
class Speaker:
    """`asked`: the bodies of the chats that came; `keys`: what they were asked with."""

    script: Script
    url: str = ""
    models: tuple[str, ...] = ("first", "second")
    asked: list[Json] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def speaking(script: Script) -> Iterator[Speaker]:
    """The server, in a thread of its own."""
    speaker = Speaker(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(200, {"object": "list", "data": [{"id": one} for one in speaker.models]}, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            speaker.asked.append(body)
            speaker.keys.append(self.headers.get("Authorization"))
            self._say(*speaker.script(body))

        def _say(self, status: int, said: Json, headers: dict[str, str]) -> None:
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    speaker.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield speaker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Says:
    """A classifier that knows: a chance for words of the question, and one for all others."""

    chances: dict[str, float] = field(default_factory=dict)
    otherwise: float = 0.9

    def weigh(self, query: Query) -> Complexity:
        p = next((p for word, p in self.chances.items() if word in query.text), self.otherwise)
        return Complexity(p, note="it was told so")
