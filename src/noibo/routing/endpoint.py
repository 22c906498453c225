"""One server that speaks OpenAI's protocol, as `HybridLLM` asks it: its first model, and a chat.

A server that fails again and again is left alone for a while. Whether anything may go there at all
is not decided here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from noibo.errors import NoiboError, UpstreamFailed
from noibo.routing.candidates import Standing
from noibo.routing.plan import Outcome
from noibo.routing.reply import Reply

FAILURES: Final = 3  # in a row, before it is left alone
PAUSE_S: Final = 30.0
CONNECT_S: Final = 10.0
ANSWER_S: Final = 600.0
_LOOK_S: Final = 10.0
_LARGEST: Final = 2**25  # bytes of an answer


class NotAnswered(Exception):
    """It gave no answer that can be used. `outcome`: what may follow it."""

    def __init__(self, outcome: Outcome, error: NoiboError) -> None:
        super().__init__(str(error))
        self.outcome = outcome
        self.error = error


@dataclass(slots=True)
class Passage:
    """What of one question went over the line. `written`: something of it was given to a
    connection; `received`: bytes that came back, headers left out."""

    written: bool = False
    received: int = 0

    def told(self, event: str, _: Mapping[str, Any]) -> None:
        """What the HTTP client says that it is about to do (httpcore's `trace`)."""
        self.written = self.written or event == "http11.send_request_headers.started"


@dataclass(slots=True)
class Endpoint:
    """`url` ends where OpenAI's paths begin (`…/v1`). `client` gives the HTTP client, when it is
    first needed; `clock` is that of the breaker. For several threads."""

    url: str
    key: str = field(repr=False)
    client: Callable[[], httpx2.Client]
    clock: Callable[[], float] = time.monotonic
    openrouter: bool = False  # also where its address does not say so
    _model: str = ""
    _failures: int = 0
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def standing(self) -> Standing:
        """How it is now."""
        with self._lock:
            if self._failures < FAILURES:
                return Standing()
            left = self._until - self.clock()
        return Standing("open", left) if left > 0 else Standing("half-open")

    def first_model(self) -> str:
        """The first model that it lists; asked once. Raises `NotAnswered`."""
        if not self._model:
            said = self._answered(self._sent("GET", "/models", None, _LOOK_S, Passage()), "data")
            names = [one.get("id") for one in said["data"] if isinstance(one, dict)]
            if not names or not isinstance(names[0], str):
                raise NotAnswered(
                    Outcome.FAILED,
                    UpstreamFailed(
                        f"{self.url}/models lists no model.",
                        next_step="Name one: LLM_CONFIG local.model, or routing.local.model.",
                    ),
                )
            self._model = names[0]
        return self._model

    def chat(self, body: bytes, passage: Passage | None = None) -> dict[str, Any]:
        """The whole answer to a chat. Raises `NotAnswered`, and `EgressRefused` where its name does
        not lead to where it should be; `passage` says what went until then."""
        reply = self._sent("POST", "/chat/completions", body, ANSWER_S, passage or Passage())
        return self._answered(reply, "choices")

    def _sent(
        self, method: str, path: str, body: bytes | None, patience_s: float, passage: Passage
    ) -> Reply:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        waits = httpx2.Timeout(patience_s, connect=CONNECT_S)
        until = time.monotonic() + patience_s
        try:
            with self.client().stream(
                method,
                self.url + path,
                content=body,
                headers=headers,
                timeout=waits,
                extensions={"trace": passage.told},
            ) as response:
                content = self._whole(response, until, passage)
                wait = response.headers.get("retry-after", "")
                return Reply(response.status_code, content, wait)
        except httpx2.TimeoutException:
            raise self._failed(Outcome.SLOW, f"has no answer within {patience_s:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as exc:
            raise self._failed(Outcome.FAILED, f"does not answer: {exc}") from None

    def _whole(self, response: httpx2.Response, until: float, passage: Passage) -> bytes:
        """Of a server that never ends, or says a byte now and then, no more is taken."""
        content = bytearray()
        for piece in response.iter_bytes():
            content += piece
            passage.received = len(content)
            if len(content) > _LARGEST:
                raise self._failed(Outcome.FAILED, f"says more than {_LARGEST >> 20} MiB")
            if time.monotonic() > until:
                raise httpx2.ReadTimeout("it is not whole")
        return bytes(content)

    def _answered(self, response: Reply, wanted: str) -> dict[str, Any]:
        """`wanted`: the field without which it is no answer; some say with status 200 that they
        failed."""
        status = response.status
        if status == 429:
            raise NotAnswered(Outcome.BUSY, self._error("has no time (status 429)", response))
        if status >= 500:
            self._ill()
            raise NotAnswered(Outcome.FAILED, self._error(f"fails (status {status})", response))
        if status != 200:
            long = b"context_length_exceeded" in response.content
            outcome = Outcome.TOO_LONG if long else Outcome.REFUSED
            raise NotAnswered(outcome, self._error(f"answers {status}", response))
        said = response.said
        if not isinstance(said, dict) or not isinstance(said.get(wanted), list):
            self._ill()
            raise NotAnswered(Outcome.FAILED, self._error(f"says no {wanted}", response))
        self._well()
        return said

    def _error(self, what: str, response: Reply) -> UpstreamFailed:
        """What it said itself is told only where that is a message in OpenAI's shape; a key that it
        says again is not."""
        message = response.message
        if self.key:
            message = message.replace(self.key, "[key]")
        message = f": {message[:200].rstrip('.')}" if message else ""
        return UpstreamFailed(
            f"{self.url} {what}{message}.",
            next_step="See that the server there runs, and that the key and the model are right.",
            retry_after_s=response.wait_s,
        )

    def _failed(self, outcome: Outcome, what: str) -> NotAnswered:
        self._ill()
        step = "See that the server there runs."
        return NotAnswered(outcome, UpstreamFailed(f"{self.url} {what}.", next_step=step))

    def _ill(self) -> None:
        with self._lock:
            self._failures += 1
            self._until = self.clock() + PAUSE_S

    def _well(self) -> None:
        with self._lock:
            self._failures = 0


def text_of(answer: Mapping[str, Any]) -> str:
    """What an answer in OpenAI's shape says."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    return content if isinstance(content, str) else ""
