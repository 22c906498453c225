"""Callers that vanish without a word, in a network of their own: `unshare -n python -m …`.

Prints, as JSON, after how many seconds each was noticed: one that streams, one that waits silently
in the line, one that is between two requests.
"""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.chaos.raw import completion, head, post
from tests.running import RunningServer, until

GONE = "127.0.0.9"
PATIENCE_S = 90.0
LONG = "word " * 3_000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((where.hostname, where.port), source_address=(GONE, 0))


def main() -> None:
    ip("link", "set", "lo", "up")
    folder = Path(tempfile.mkdtemp())
    environ = {"NOIBO_SERVER_STALL_S": "5", "NOIBO_ENGINE_PARALLEL": "1"}
    with RunningServer(folder / "home", **environ) as server:
        server.load("echo")
        process = psutil.Process(server.pid)
        streams, waits, idle = (connect(server.url) for _ in range(3))
        slow = {"x_echo": {"delay_ms": 100}}
        streams.sendall(post("/v1/completions", completion(prompt=LONG, stream=True, **slow)))
        assert streams.recv(100)
        waits.sendall(post("/v1/completions", completion()))
        idle.sendall(head("GET", "/health"))
        assert idle.recv(1000)
        ports = {
            name: one.getsockname()[1]
            for name, one in {"streams": streams, "waits": waits, "idle": idle}.items()
        }

        def there(port: int) -> bool:
            found = process.net_connections(kind="tcp")
            return any(one.raddr and one.raddr.port == port for one in found)

        assert all(map(there, ports.values()))
        ip("route", "add", "blackhole", GONE, "table", "local")
        began = time.monotonic()
        noticed: dict[str, float] = {}
        while len(noticed) < len(ports) and time.monotonic() - began < PATIENCE_S:
            for name, port in ports.items():
                if name not in noticed and not there(port):
                    noticed[name] = round(time.monotonic() - began, 1)
            time.sleep(0.2)
        with server.client() as client:
            until(lambda: client.queue().answering == [], "no slot is taken")
    print(json.dumps(noticed))


if __name__ == "__main__":
    main()
