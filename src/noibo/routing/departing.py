"""How `HybridLLM` lets a question leave: judged, redacted, written down, and its answer put back
into the caller's own words. The same policy, detector and door as of the server.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from noibo import guarded
from noibo.egress import Destination, Door, Pass, Purpose, is_loopback, require_loopback
from noibo.errors import EgressRefused, SettingsError, UsageError
from noibo.privacy.judgement import CALLER, Judgement, Reason
from noibo.privacy.judging import Find, judged
from noibo.privacy.outgoing import outgoing
from noibo.privacy.policy import Policy
from noibo.privacy.receipt import Receipt, Sent
from noibo.routing.endpoint import Endpoint, NotAnswered

Made = Callable[[], httpx2.Client]
CHAT: Final = "/v1/chat/completions"
_OWN_ENDINGS: Final = (".local", ".lan", ".internal", ".intranet", ".localdomain", ".home.arpa")
_DIGITS: Final = tuple("0123456789")
_KEEPS_NOTHING: Final = {"data_collection": "deny"}


@dataclass(slots=True)
class Gate:
    """What may leave, by the house's policy. `find` is the detector; None fails closed."""

    policy: Policy
    door: Door
    find: Find | None

    def judge(self, fields: Mapping[str, Any], label: str | None) -> Judgement:
        """What a chat is, by what its caller says of it and what is found in it."""
        said = [Reason(CALLER, label, "label=")] if label else []
        until = time.monotonic() + self.policy.detect_s
        return judged(self.policy, fields, self.find, said, lambda: time.monotonic() > until)

    def ask(self, endpoint: Endpoint, fields: Mapping[str, Any], journey: Journey) -> Any:
        """The answer of a server elsewhere. Raises `NotAnswered`, `MustStay`, `EgressRefused`."""
        left = outgoing(journey.judgement, fields, self.find, CHAT)
        body = msgspec.json.encode(_for_provider(endpoint.url, left.fields))
        way = self.door.open(Purpose.CLOUD_MODEL, [Destination.of(endpoint.url)])
        departure = way.depart(
            f"{endpoint.url}/chat/completions",
            body=body,
            label=journey.judgement.label,
            request=journey.request_id,
            policy=self.policy.fingerprint,
        )
        sent = Sent.of(str(departure.destination), body, left.redaction.counts)
        journey.receipt = journey.receipt.with_sent(sent)
        try:
            answer = endpoint.chat(body)
        except NotAnswered as failed:
            departure.settle(len(body), 0, failed.outcome.value)
            raise
        departure.settle(len(body), len(msgspec.json.encode(answer)))
        return left.redaction.restored(answer)


@dataclass(slots=True)
class Journey:
    """What becomes of one question: what it was judged to be, and the receipt so far."""

    judgement: Judgement
    receipt: Receipt
    request_id: str = field(default_factory=lambda: f"hybrid-{uuid.uuid4().hex[:16]}")

    @classmethod
    def of(cls, judgement: Judgement) -> Journey:
        made = cls(judgement, Receipt.of(judgement, ""))
        made.receipt = Receipt.of(judgement, made.request_id)
        return made


class Clients:
    """HTTP clients that are made when they are first needed, each once. For several threads."""

    __slots__ = ("_door", "_made", "_turn")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._made: dict[str, httpx2.Client] = {}
        self._turn = threading.Lock()

    def later(self, url: str, make: Callable[[str, Door], httpx2.Client]) -> Made:
        """What gives the client for an address."""

        def made() -> httpx2.Client:
            with self._turn:
                name = f"{make.__name__} {url}"
                if name not in self._made:
                    self._made[name] = make(url, self._door)
                return self._made[name]

        return made

    def close(self) -> None:
        """End all connections."""
        with self._turn:
            for client in self._made.values():
                client.close()
            self._made.clear()


def require_home(url: str) -> str:
    """An address of this house, by what is written. Raises `SettingsError` for anybody else's."""
    host = urlsplit(url).hostname or ""
    if not is_loopback(url) and not _is_own(host):
        raise SettingsError(
            f"The local endpoint {host} is neither this machine nor in a network of your own.",
            next_step="Name a server of yours, as http://localhost:8000/v1; another goes to api.",
        )
    return url


def require_sealed(url: str) -> str:
    """An address that nobody on the way can read along. Raises `SettingsError` for another."""
    if urlsplit(url).scheme != "https" and not is_loopback(url):
        raise SettingsError(
            f"The api endpoint {urlsplit(url).hostname} is asked without TLS, and every prompt and "
            "the key could be read on the way.",
            next_step="Write https://.",
        )
    return url


def home_client(url: str, door: Door) -> httpx2.Client:
    """A client for the house's own server: this machine's, or one of its network, which is written
    down."""
    if is_loopback(url):
        return httpx2.Client(trust_env=False, event_hooks={"request": [_stays]})
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return guarded.client(way, httpx2.HTTPTransport(), event_hooks={"request": [_leads_home]})


def away_client(url: str, door: Door) -> httpx2.Client:
    """A client for a server elsewhere, which reaches that and nothing else."""
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return httpx2.Client(trust_env=False, event_hooks={"request": [_only(way)]})


def messages_of(
    query: str, context: str | Sequence[Any] | None, system: str
) -> list[dict[str, Any]]:
    """A question with what it is about: a text, several texts, or the turns before it. Raises
    `UsageError` for what is neither, or cannot be sent as JSON."""
    if not isinstance(query, str) or not isinstance(context, str | list | tuple | None):
        raise UsageError(
            "A question is a text; its context is a text, a list of texts or of turns, or None.",
            next_step="Give bytes as bytes.decode(), and a single turn in a list.",
        )
    messages = _messages(query, context, system)
    try:
        msgspec.json.encode(messages)
    except (TypeError, ValueError, RecursionError) as exc:
        raise UsageError(
            f"The question or its context cannot be sent: {exc}.",
            next_step="Give texts of whole characters: text.encode(errors='replace').decode().",
        ) from exc
    return messages


def _messages(query: str, context: str | Sequence[Any] | None, system: str) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    texts = [context] if isinstance(context, str) else list(context or ())
    if texts and all(isinstance(one, Mapping) for one in texts):
        said = [dict(one) for one in texts if isinstance(one, Mapping)]
        return [*turns, *said, {"role": "user", "content": query}]
    about = "\n\n".join(str(one) for one in texts if str(one).strip())
    return [*turns, {"role": "user", "content": f"{about}\n\n{query}" if about else query}]


def _for_provider(url: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """OpenRouter is told to ask only who keeps nothing of what is sent."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "openrouter.ai" or host.endswith(".openrouter.ai"):
        return {**fields, "provider": {**fields.get("provider", {}), **_KEEPS_NOTHING}}
    return fields


def _is_own(host: str) -> bool:
    """By what is written alone."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        if name.rpartition(".")[2].startswith(_DIGITS):  # a number, as some systems read them
            return False
        return "." not in name or name.endswith(_OWN_ENDINGS)


def _leads_home(request: httpx2.Request) -> None:
    """Whoever answers for names must not turn what stays in the house to somebody else."""
    try:
        found = socket.getaddrinfo(request.url.host, request.url.port, type=socket.SOCK_STREAM)
    except OSError:
        return  # nobody is reached
    if any(ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found):
        raise EgressRefused(
            f"{request.url.host} is the name of a server of this house, and leads out of it.",
            next_step="Name the server by its number, as http://192.168.1.20:8000/v1.",
        )


def _stays(request: httpx2.Request) -> None:
    require_loopback(str(request.url))


def _only(way: Pass) -> Any:
    """Departures are written down by `Gate.ask`, with what they carry; here only the place is
    looked at."""

    def check(request: httpx2.Request) -> None:
        if Destination.of(str(request.url)) not in way.destinations:
            raise EgressRefused(f"{request.url.host} is not where this may go.")

    return check
