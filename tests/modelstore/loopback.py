"""What the servers of these tests are made of: a real port, and a thread while `with` lasts."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from typing import Any, Self


class Handler(http.server.BaseHTTPRequestHandler):
    """Says nothing on standard error, and does not mind a caller that hangs up."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()


class LoopbackServer:
    """Answers with `handler`, which finds what is `bound` as its attributes.

    `stopped` is set when the server ends: for answers that stand still until then."""

    def __init__(
        self,
        handler: type[Handler],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        **bound: Any,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family})
        self._server = kind((host, port), type("Bound", (handler,), bound))
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.host = f"[{host}]" if ":" in host else host
        self.port: int = self._server.server_address[1]
        self.stopped = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"
