"""The one door outward.

Everything in noibo that connects to another machine asks here first: for a *purpose*, with the
destinations that the user's own wish or configuration named. The purposes are listed below; there
is no other way out. `offline = true` closes the door for all of them. Every use of the door is a
row of a ledger (`egress.jsonl`), on the disk before the first byte leaves; what cannot be written
down does not leave. What carries content says more of it, never the content itself: see `depart`.

Connections inside the machine (to our own workers, from our own client to our own server) are not
outbound: `require_loopback` proves that they are what they claim to be.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from noibo.errors import DepartureNotRecorded, EgressRefused, LedgerError

if TYPE_CHECKING:
    from noibo.ledger.ledger import Ledger
    from noibo.ledger.row import Fields

log = logging.getLogger(__name__)

DEPARTURE: Final = "departure"  # kinds of rows
UNREACHED: Final = "unreached"  # an outcome: nobody was there, and nothing of the content went
SETTLED: Final = "settled"
_LONGEST_WORD: Final = 200  # of what a row says about a request
_NAME: Final = re.compile(r"[^\s%<>\"\\^`{|}\x00-\x1f]+")  # of a host; else nobody is asked


class Purpose(Enum):
    """Every reason noibo has to connect outward. The value is what the user reads."""

    PACKAGE_INDEX = "fetch a model that the user asked for from the package index pip is set to"
    MODEL_HUB = "fetch a model that the user asked for from Hugging Face, or search it"
    MODEL_REGISTRY = "fetch a model that the user asked for from a registry that speaks as Ollama's"
    MODEL_FILE = "fetch a model file that the user asked for from its address, or from GitHub"
    ENGINE_PACKAGES = "install an engine that the user asked for, with pip"
    DATABASE = "keep what noibo stores in the database that database.url names"
    TELEMETRY = "send spans, without any text, to the collector that telemetry.otlp_endpoint names"
    CLOUD_MODEL = "answer a request by the model that [models.NAME] places elsewhere"
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
        host = (parts.hostname or "").lower()
        name = host.partition("%")[0] if ":" in host else host  # fe80::1%eth0
        if port is None or parts.scheme not in {"http", "https"} or not _NAME.fullmatch(name):
            raise EgressRefused(f"{parts.scheme}://{place} is not an http(s) address.")
        return cls(parts.scheme, host, port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Digest:
    """A content that is not at hand in one piece: its SHA-256, and how many bytes it has."""

    sha256: bytes
    size: int

    @classmethod
    def of(cls, body: bytes) -> Digest:
        """That of a content."""
        return cls(hashlib.sha256(body).digest(), len(body))


@dataclass(slots=True)
class Door:
    """Guards every outbound connection of one process."""

    offline: bool = False
    record: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ledger: Ledger | None = None

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

    @property
    def ledger(self) -> Ledger | None:
        """Where departures are written down; None for a door that writes nothing down."""
        if self.record is None:
            return None
        with self._lock:
            if self._ledger is None:
                from noibo.ledger.ledger import Ledger

                self._ledger = Ledger(self.record)
        return self._ledger

    def note(self, purpose: Purpose, destination: Destination, method: str) -> None:
        """Write one departure down, before it happens. Raises `DepartureNotRecorded`."""
        ledger = self.ledger
        if ledger is not None:
            _write(ledger, _row(purpose, destination, method))


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
        self.door.note(self.purpose, self._admitted(url), method)

    def depart(  # noqa: PLR0913 - what the row says of what leaves
        self,
        url: str,
        method: str = "POST",
        *,
        body: bytes | Digest,
        label: str,
        request: str,
        policy: str,
        user: str = "",
    ) -> Departure:
        """Write down that `body` is about to leave; when this returns, it may.

        `label`: what the content was judged to be; `policy`: by which rule it may leave; `request`:
        the request's id; `user`: whose, kept as a pseudonym. The row is on the disk by then, which
        takes 5 to 15 ms: on an event loop, `await asyncio.to_thread(passed.depart, …)`; calls at
        the same moment share one write. Raises `EgressRefused`, and `DepartureNotRecorded` where it
        cannot be written down.
        """
        destination = self._admitted(url)
        ledger = self.door.ledger
        if ledger is None:
            raise DepartureNotRecorded("There is no ledger here: nothing with content may leave.")
        content = body if isinstance(body, Digest) else Digest.of(body)
        salt = secrets.token_hex(8)
        try:
            node = ledger.node
        except LedgerError as error:
            raise _not_recorded(error) from error
        row = _row(self.purpose, destination, method) | {
            "bytes": content.size,
            "label": _word(label),
            "request": _word(request),
            "policy": _word(policy),
            "user": node.pseudonym(user),
            "salt": salt,
            "digest": node.digest(salt, content.sha256),
        }
        return Departure(ledger, _write(ledger, row), destination, content.size)

    def _admitted(self, url: str) -> Destination:
        self.door._refuse_offline(self.purpose)
        destination = Destination.of(url)
        if destination not in self.destinations:
            allowed = ", ".join(sorted(map(str, self.destinations))) or "nothing"
            raise EgressRefused(
                f"Refused a connection to {destination}: to {self.purpose.value}, "
                f"only {allowed} may be reached."
            )
        return destination


@dataclass(slots=True)
class Departure:
    """Something that may leave now: `number` is its row. Until `settle` it stays open, which shows:
    all of it may have left. `written`: something of it was given to a connection; who writes says
    so before."""

    ledger: Ledger
    number: int
    destination: Destination
    bytes: int
    settled: bool = False
    written: bool = False

    def settle(self, sent: int, received: int, outcome: str = "done") -> bool:
        """Write down how many bytes went and came, headers left out, and how it ended, in a row
        that refers to the first one. Once; as slow as `depart`. Never raises, since the answer is
        there: where it cannot be written the departure stays open, and False is given back."""
        if self.settled:
            return True
        row: Fields = {
            "kind": SETTLED,
            "time": round(time.time(), 3),
            "of": self.number,
            "sent": sent,
            "received": received,
            "outcome": _word(outcome),
        }
        try:
            self.ledger.add(row)
        except LedgerError as error:
            log.error("what departure %d came to is not written down: %s", self.number, error)
            return False
        self.settled = True
        return True


def _row(purpose: Purpose, destination: Destination, method: str) -> dict[str, str | int | float]:
    return {
        "kind": DEPARTURE,
        "time": round(time.time(), 3),
        "purpose": purpose.name.lower(),
        "destination": str(destination),
        "method": _word(method),
    }


def _write(ledger: Ledger, row: Fields) -> int:
    try:
        return ledger.add(row)
    except LedgerError as error:
        raise _not_recorded(error) from error


def _not_recorded(error: LedgerError) -> DepartureNotRecorded:
    return DepartureNotRecorded(
        f"Nothing may leave that is not written down. {error.message}", next_step=error.next_step
    )


def _word(said: str) -> str:
    """What a row says: short, and in characters that can be written."""
    return said[:_LONGEST_WORD].encode("utf-8", "backslashreplace").decode()


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
