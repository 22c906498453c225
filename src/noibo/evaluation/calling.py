"""One request over HTTP, light enough that 64 at once cost a fraction of a core.

No redirects are followed and no proxy is asked: where a request goes is where it was said to go.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
import msgspec

from noibo.egress import require_loopback
from noibo.evaluation.answer import Answer, Failure, Kind
from noibo.evaluation.hearing import Failed, Hearing, hidden, refusal
from noibo.evaluation.sides import Dialect, Side
from noibo.modelstore.printable import shown

CONNECT_S: Final = 10.0
SOON_S: Final = 1.0  # a server that closes within it has done nothing yet
_MOST_READ: Final = 2**16  # bytes of an error
_MOST_LISTED: Final = 2**22  # bytes of a list of models


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a prompt, and an answer of so many tokens."""

    prompt: str
    tokens: int
    dialect: Dialect


class Line:
    """Connections to one side, kept open between requests. `since`: the moment moments count from;
    `patience_s` is for a whole answer."""

    def __init__(self, side: Side, patience_s: float, since: float = 0.0) -> None:
        self._side = side
        self._key = side.key
        self._since = since
        self._url = require_loopback(side.chat_url)
        self._patience_s = patience_s
        self._kept, self._fresh = self._session(kept=True), self._session(kept=False)

    def _session(self, *, kept: bool) -> aiohttp.ClientSession:
        tls = self._side.tls or True
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, force_close=not kept),
            headers={"Content-Type": "application/json", **self._side.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._patience_s, sock_connect=CONNECT_S),
            trust_env=False,
        )

    async def ask(self, question: Question) -> Answer | Failure:
        """The answer, or how it failed. A connection that was kept and that the server closes just
        then has asked nothing: it is asked again, once, by another."""
        body = msgspec.json.encode(
            {
                "model": self._side.model,
                "messages": [{"role": "user", "content": question.prompt}],
                **question.dialect.fields(question.tokens),
            }
        )
        got, unasked = await self._try(self._kept, body, question.tokens)
        if unasked:
            got, _ = await self._try(self._fresh, body, question.tokens)
        return got

    async def _try(
        self, session: aiohttp.ClientSession, body: bytes, tokens: int
    ) -> tuple[Answer | Failure, bool]:
        """What came of it, and whether it was closed before anything could be asked."""
        began = self._now()
        hearing = Hearing(began, tokens, self._key)
        try:
            return await self._hear(session, body, hearing), False
        except Failed as failed:
            return Failure(failed.kind, str(failed), self._now()), False
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            failure, soon = self._fault(exc), self._now() - began < SOON_S
            return failure, failure.kind is Kind.BROKE_OFF and soon and not hearing.begun

    async def _hear(
        self, session: aiohttp.ClientSession, body: bytes, hearing: Hearing
    ) -> Answer | Failure:
        async with session.post(self._url, data=body, allow_redirects=False) as response:
            if response.status != 200:
                said = await _read(response.content, _MOST_READ)
                wait = response.headers.get("Retry-After", "")
                return replace(refusal(response.status, said, wait, self._key), at=self._now())
            if response.content_type == "application/json":
                raise Failed(Kind.GARBAGE, "the answer came whole: the server does not stream")
            async for chunk in response.content.iter_any():
                hearing.feed(chunk, self._now())
            return hearing.end(self._now())

    async def models(self) -> list[str] | Failure:
        """Names of the models it has."""
        try:
            async with self._kept.get(self._side.models_url, allow_redirects=False) as response:
                said = await _read(response.content, _MOST_LISTED)
                if response.status != 200:
                    return refusal(response.status, said, key=self._key)
                cards = msgspec.json.decode(said)["data"]
                return [hidden(str(card["id"]), self._key) for card in cards]
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            return self._fault(exc)
        except (ValueError, KeyError, TypeError, RecursionError):
            return Failure(Kind.GARBAGE, "its list of models cannot be read")

    async def close(self) -> None:
        """Close the connections."""
        await self._kept.close()
        await self._fresh.close()

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _now(self) -> float:
        return time.perf_counter() - self._since

    def _fault(self, exc: BaseException) -> Failure:
        """A fault of the connection. Its words may be those of the server."""
        said = hidden(f"{type(exc).__name__}: {exc}".rstrip(": "), self._key)
        return Failure(kind_of(exc), shown(said), self._now())


async def _read(content: aiohttp.StreamReader, most: int) -> bytes:
    """What comes, up to so many bytes: a single `read` gives what has come so far."""
    said = bytearray()
    while len(said) < most and (part := await content.read(most - len(said))):
        said += part
    return bytes(said)


# The first that fits; every fault that aiohttp can raise is one of these.
_KINDS: Final[tuple[tuple[type[BaseException], Kind], ...]] = (
    (aiohttp.ClientConnectorError, Kind.UNREACHABLE),
    (aiohttp.ConnectionTimeoutError, Kind.UNREACHABLE),
    (ssl.SSLError, Kind.UNREACHABLE),
    (TimeoutError, Kind.SILENT),
    (asyncio.IncompleteReadError, Kind.BROKE_OFF),
    (aiohttp.ClientPayloadError, Kind.BROKE_OFF),
    (aiohttp.ClientConnectionError, Kind.BROKE_OFF),
    (ConnectionError, Kind.BROKE_OFF),
    (OSError, Kind.UNREACHABLE),
    (aiohttp.ClientResponseError, Kind.GARBAGE),
    (ValueError, Kind.GARBAGE),
    (aiohttp.ClientError, Kind.BROKE_OFF),
)


def kind_of(exc: BaseException) -> Kind:
    """What kind of failure an exception is."""
    for known, kind in _KINDS:
        if isinstance(exc, known):
            return kind
    return Kind.GARBAGE
