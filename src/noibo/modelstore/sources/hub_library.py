"""`huggingface_hub`, with its requests led through a session of ours.

The library has one HTTP client for the whole process. Ours is put in its place once; it sends
nothing by itself, but hands each request to the session that the calling thread opened with
`through`, and only those for models: the library also looks up, unasked, which program it runs in.
A call of anybody else finds the door shut.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx2
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import OIDCError

from noibo.errors import AccessNeeded, EgressRefused, FetchError
from noibo.modelstore.web.session import WebSession

MAX_REQUESTS: Final = 5  # of one call; its pages go on for ever if a server says so
MAX_LISTING_BYTES: Final = 16 * 2**20


@dataclass(slots=True)
class _Use:
    """One call of the library: the session it may use, for one endpoint."""

    session: WebSession
    endpoint: str
    requests: int = 0

    def send(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        if request.method != "GET" or not url.startswith(f"{self.endpoint}/api/models"):
            raise EgressRefused("huggingface_hub may only ask about models here.")
        self.requests += 1
        if self.requests > MAX_REQUESTS:
            raise FetchError(f"{self.endpoint} answers with pages without end.")
        return self.session.get(url, limit=MAX_LISTING_BYTES)


_USE: ContextVar[_Use | None] = ContextVar("_USE", default=None)


class _Through(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        use = _USE.get()
        if use is None:
            raise EgressRefused("huggingface_hub is used outside of noibo's door.")
        return use.send(request)


def _client() -> httpx2.Client:
    return httpx2.Client(transport=_Through(), trust_env=False)


@cache
def _lead_through_us() -> None:
    """Once a process: the library's own client is put aside, and its warnings with it."""
    huggingface_hub.set_client_factory(_client)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # they repeat servers' words


@contextmanager
def through(session: WebSession, endpoint: str) -> Iterator[huggingface_hub.HfApi]:
    """The library's API at `endpoint`, led through `session`. It holds no token: sessions do."""
    if constants.is_offline_mode():
        raise EgressRefused(
            "Hugging Face is set to offline (HF_HUB_OFFLINE).",
            next_step="Unset HF_HUB_OFFLINE, or use what is here already.",
        )
    _lead_through_us()
    token = _USE.set(_Use(session, endpoint))
    try:
        yield huggingface_hub.HfApi(endpoint=endpoint, token=False)
    finally:
        _USE.reset(token)


def default_endpoint() -> str:
    """HF_ENDPOINT as the library understood it, else https://huggingface.co."""
    return constants.ENDPOINT


def token() -> str | None:
    """The user's own: HF_TOKEN, else what `hf auth login` stored. Never shown."""
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    _lead_through_us()  # a token near its end is renewed: not past the door
    try:
        found = huggingface_hub.get_token()
    except (OIDCError, httpx2.HTTPError, EgressRefused, OSError, ValueError) as exc:
        raise AccessNeeded(
            f"The token for Hugging Face cannot be read ({type(exc).__name__}).",
            next_step="Check HF_TOKEN, or sign in again: `hf auth login`.",
        ) from exc
    if found and not (found.isascii() and found.isprintable()):
        raise AccessNeeded(
            "The token for Hugging Face holds characters that no token has.",
            next_step="Check HF_TOKEN, or sign in again: `hf auth login`.",
        )
    return found
