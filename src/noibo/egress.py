"""The one door outward.

Everything in noibo that connects to another machine asks here first: for a *purpose*, with the
destinations that the user's own wish or configuration named. The purposes are listed below; there
is no other way out. `offline = true` closes the door for all of them. Every destination that is
let through is written down in `egress.jsonl` before the first byte leaves.

Connections inside the machine (to our own workers, from our own client to our own server) are not
outbound: `require_loopback` proves that they are what they claim to be.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from noibo.errors import EgressRefused


class Purpose(Enum):
    """Every reason noibo has to connect outward. The value is what the user reads."""

    PACKAGE_INDEX = "fetch a model that the user asked for from the package index pip is set to"
    MODEL_HUB = "fetch a model that the user asked for from Hugging Face, or search it"
    MODEL_REGISTRY = "fetch a model that the user asked for from a registry that speaks as Ollama's"
    MODEL_FILE = "fetch a model file that the user asked for from its address, or from GitHub"
    ENGINE_PACKAGES = "install an engine that the user asked for, with pip"
    DATABASE = "keep what noibo stores in the database that database.url names"
    TELEMETRY = "send spans, without any text, to the collector that telemetry.otlp_endpoint names"
    NOIBO_SERVER = "talk to the noibo server whose address the user gave"


@dataclass(frozen=True, slots=True)
class Destination:
    """A host and port that one purpose may reach."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Destination:
        """The destination of a URL; the port is the scheme's own where none is given."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise EgressRefused("An address with a broken [host] is not an http(s) one.") from None
        place = parts.netloc.rpartition("@")[2]  # a password is not for messages
        try:
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            port = None
        if port is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise EgressRefused(f"{parts.scheme}://{place} is not an http(s) address.")
        return cls(parts.scheme, parts.hostname.lower(), port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(slots=True)
class Door:
    """Guards every outbound connection of one process."""

    offline: bool = False
    record: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, purpose: Purpose, destinations: Iterable[Destination]) -> Pass:
        """A pass for one purpose and its destinations. Closed when offline."""
        self._refuse_offline(purpose)
        return Pass(self, purpose, set(destinations))

    def _refuse_offline(self, purpose: Purpose) -> None:
        if self.offline:
            raise EgressRefused(
                f"noibo is offline (offline = true) and may not {purpose.value}.",
                next_step="Set offline = false (or NOIBO_OFFLINE=0), or use what is here already.",
            )

    def note(self, purpose: Purpose, destination: Destination, method: str) -> None:
        """Write one departure down, before it happens."""
        if self.record is None:
            return
        row = {
            "time": round(time.time(), 3),
            "purpose": purpose.name.lower(),
            "destination": str(destination),
            "method": method,
        }
        with self._lock:
            self.record.parent.mkdir(parents=True, exist_ok=True)
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


@dataclass(slots=True)
class Pass:
    """What one purpose may reach; `guarded.client` gives an HTTP client that keeps to it."""

    door: Door
    purpose: Purpose
    destinations: set[Destination]

    def admit(self, url: str) -> None:
        """Let in one more destination: a place that an admitted one itself pointed to."""
        self.destinations.add(Destination.of(url))

    def check(self, url: str, method: str = "GET") -> None:
        """Raise `EgressRefused` unless `url` may be reached; note it if it may."""
        self.door._refuse_offline(self.purpose)
        destination = Destination.of(url)
        if destination not in self.destinations:
            allowed = ", ".join(sorted(map(str, self.destinations))) or "nothing"
            raise EgressRefused(
                f"Refused a connection to {destination}: to {self.purpose.value}, "
                f"only {allowed} may be reached."
            )
        self.door.note(self.purpose, destination, method)


def is_loopback(url: str) -> bool:
    """True for an address on this machine, written as a number or as localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(url: str) -> str:
    """`url` itself, if it stays on this machine; for connections to our own workers."""
    if not is_loopback(url):
        raise EgressRefused(f"{url} is not on this machine.")
    return url
