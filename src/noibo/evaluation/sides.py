"""Who is measured: a model at an OpenAI-compatible address, and how that wants to be asked."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from noibo.egress import Destination, is_loopback
from noibo.errors import EgressRefused, UsageError
from noibo.evaluation.cost import Tariff

_CHAT: Final = "/chat/completions"


class Host(Protocol):
    """Who runs a model of ours."""

    async def prepare(self, model: str) -> None:
        """See that it is loaded, so that loading is not measured."""

    async def memory(self, model: str) -> int | None:
        """Bytes its worker held at most; None where it has none of ours."""


@dataclass(frozen=True, slots=True)
class Side:
    """A model somewhere. `name` is what tables call it; `headers` carry the key. `elsewhere`: it is
    another machine that answers, so that what this one costs tells nothing of it."""

    name: str
    base_url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    tariff: Tariff | None = None
    host: Host | None = None
    elsewhere: bool = False

    @property
    def key(self) -> str:
        """What its headers let in with; empty where it asks for no key."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    @property
    def chat_url(self) -> str:
        return self.base_url + _CHAT

    @property
    def models_url(self) -> str:
        return self.base_url + "/models"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes. Some refuse what they do not know."""

    ignore_eos: bool = True  # so that every answer is as long as was asked
    temperature: bool = True
    usage: bool = True  # stream_options
    limit: str = "max_tokens"

    def fields(self, tokens: int) -> dict[str, object]:
        """The fields of a request for an answer of so many tokens."""
        made: dict[str, object] = {"stream": True, self.limit: tokens}
        if self.ignore_eos:
            made["ignore_eos"] = True
        if self.temperature:
            made["temperature"] = 0
        if self.usage:
            made["stream_options"] = {"include_usage": True}
        return made


# Tried in turn until one is not refused.
DIALECTS: Final = (
    Dialect(),
    Dialect(ignore_eos=False),
    Dialect(usage=False),
    Dialect(ignore_eos=False, temperature=False, limit="max_completion_tokens"),
    Dialect(ignore_eos=False, temperature=False, usage=False),
)


def address(url: str) -> str:
    """The base of an OpenAI-compatible API from what a user types: with /v1 or without, or a whole
    chat address. Raises `UsageError`, and `EgressRefused` for what is not on this machine."""
    try:
        there = Destination.of(url)
    except EgressRefused as refused:
        raise UsageError(
            f"--vs: {refused.message}", next_step="noibo bench --vs http://127.0.0.1:8000/v1"
        ) from None
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"--vs: {there} has a name, a password or a question in its address.",
            next_step="Put the key into a variable and name that: --vs-key-env NAME.",
        )
    if not is_loopback(url):
        raise EgressRefused(
            f"--vs: {there} is not on this machine. What is elsewhere is measured through noibo, "
            "which judges and writes down what leaves.",
            next_step='Write it into noibo.toml, [models."NAME"] with engine = "remote" and '
            f'base_url = "{url}", and `noibo bench NAME`.',
        )
    path = parts.path.rstrip("/").removesuffix(_CHAT) or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"
