"""A server that others reach, its keys, and requests as they come from elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from fastapi.routing import iter_route_contexts

from noibo.gateway.app import create_app
from noibo.wire.access import KeyWanted
from tests.running import RunningServer, run_noibo

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
GUARD = {"X-Noibo-Client": "1"}
PAGE_TOKEN = "X-Noibo-CSRF"
WORD = "một mật khẩu dài"
_numbers = itertools.count()


def own_address() -> str:
    """An address of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    pytest.skip("this machine has no address but loopback")


@dataclass
class Door:
    """A server that listens on all addresses. `admin` is a key for everything."""

    server: RunningServer
    admin: str
    address: str = field(default_factory=own_address)

    @property
    def near(self) -> str:
        return self.server.url

    @property
    def far(self) -> str:
        """Its address from elsewhere."""
        port = urlsplit(self.server.url).port
        return f"{urlsplit(self.server.url).scheme}://{self.address}:{port}"

    def key(self, role: str = "user", **said: Any) -> str:
        """A new key."""
        with self.server.client() as client:
            made = client.make_key(KeyWanted(name=f"key {next(_numbers)}", role=role, **said))
        return made.key

    def user(self, role: str = "user") -> str:
        """A new user, who has the password `WORD`."""
        name = f"user{next(_numbers)}"
        with self.server.client() as client:
            client.add_user(name, WORD, role)
        return name

    def client(self, key: str = "", *, near: bool = False, **headers: str) -> httpx2.Client:
        """Somebody elsewhere, with that key."""
        said = GUARD | ({"Authorization": f"Bearer {key}"} if key else {}) | headers
        return httpx2.Client(
            base_url=self.near if near else self.far, headers=said, timeout=60, trust_env=False
        )

    @contextlib.contextmanager
    def signed_in(self, name: str) -> Iterator[httpx2.Client]:
        """A page of that user's."""
        with self.client() as page:
            answer = page.post("/noibo/v1/session", json={"name": name, "password": WORD})
            assert answer.status_code == 200, answer.text
            page.headers[PAGE_TOKEN] = answer.json()["page_token"]
            yield page


def first_key(home: Any) -> str:
    """A key for everything, made before any server runs."""
    made = run_noibo("key", "create", "first", "--role", "admin", home=home)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def id_of(key: str) -> str:
    return key.split("_")[1]


def raw(url: str, said: bytes, patience: float = 20) -> tuple[int, bytes]:
    """What is answered to these bytes: its status, and the beginning of it."""
    parts = urlsplit(url)
    assert parts.hostname
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=patience) as wire:
        wire.sendall(said)
        answer = b""
        while b"\r\n\r\n" not in answer and (more := wire.recv(65536)):
            answer += more
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer


def routes() -> list[tuple[str, str]]:
    """Every method and path that there is."""
    app = create_app(contextlib.nullcontext)  # type: ignore[arg-type]
    return sorted(
        {
            (method, str(route.path))
            for route in iter_route_contexts(app.routes)
            for method in (route.methods or ())
        }
    )


def concrete(path: str, name: str = "xyz") -> str:
    """A path of a route, with a name in its place."""
    return re.sub(r"\{[^}]*\}", name, path)
