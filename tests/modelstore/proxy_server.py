"""A small forward proxy on a loopback port: absolute requests and CONNECT, with a password."""

from __future__ import annotations

import base64
import http.client
import http.server
import select
import socket
from urllib.parse import urlsplit

from tests.modelstore.loopback import Handler, LoopbackServer


class ProxyServer(LoopbackServer):
    """Forwards every name to where `hosts` says, and remembers what it was asked for."""

    def __init__(self, password: str = "", hosts: dict[str, int] | None = None) -> None:
        self.password = password
        self.hosts = hosts or {}  # a name that only the proxy knows: its port on this machine
        self.asked: list[str] = []
        super().__init__(_Handler, proxy=self)

    @property
    def url(self) -> str:
        user = f"user:{self.password}@" if self.password else ""
        return f"http://{user}127.0.0.1:{self.port}"


class _Handler(Handler):
    proxy: ProxyServer

    def _may_pass(self) -> bool:
        wanted = base64.b64encode(f"user:{self.proxy.password}".encode()).decode()
        if self.proxy.password and self.headers.get("Proxy-Authorization") != f"Basic {wanted}":
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def do_GET(self) -> None:
        self.proxy.asked.append(f"GET {self.path}")
        if not self._may_pass():
            return
        parts = urlsplit(self.path)
        port = self.proxy.hosts.get(parts.hostname or "", parts.port)
        kept = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        far = http.client.HTTPConnection("127.0.0.1", port or 80)
        far.request("GET", parts.path, headers=kept)
        answer = far.getresponse()
        body = answer.read()
        far.close()
        self.send_response(answer.status)
        for name in ("Content-Type", "ETag", "Content-Range", "Location"):
            if answer.getheader(name):
                self.send_header(name, str(answer.getheader(name)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.proxy.asked.append(f"CONNECT {self.path}")
        if not self._may_pass():
            return
        host, _, port = self.path.rpartition(":")
        target = self.proxy.hosts.get(host, int(port))
        with socket.create_connection(("127.0.0.1", target)) as far:
            self.send_response(200)
            self.end_headers()
            self._pump(self.connection, far)
        self.close_connection = True

    @staticmethod
    def _pump(near: socket.socket, far: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([near, far], [], [], 10)
            if not readable:
                return
            for one in readable:
                data = one.recv(65536)
                if not data:
                    return
                (far if one is near else near).sendall(data)
