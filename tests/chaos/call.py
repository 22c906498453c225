"""One request whose answer is known beforehand, and what became of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import aiohttp

WORDS = ["rain", "Hà", "Nội", "雨", "“quoted”", "naïve", "thư", "viện", "7,000", "{brace}"]
WORDS += ["back\\slash", "window", "🙂", "nước", "mắm", "it's", "end."]


class End(Enum):
    """What became of a request."""

    ANSWERED = "answered"  # all of its words, once, in order, and then the end
    FAILED = "failed"  # an error in OpenAI's shape, as a status or as the last event
    LEFT = "left"  # its caller hung up
    NOBODY = "nobody"  # no server was there to be asked
    CUT = "cut"  # the connection broke without a word
    HUNG = "hung"  # nothing came any more
    WRONG = "wrong"  # other words than its own, or some twice, or an end too early


LOST = frozenset({End.CUT, End.HUNG})


@dataclass(frozen=True, slots=True)
class Call:
    """A request: echo says `text` back; a real model is held to it by a grammar."""

    model: str
    text: str
    streamed: bool = True
    chat: bool = True
    key: str = "caller"
    batch: bool = False
    leaves_after: int | None = None  # words
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    @property
    def body(self) -> dict[str, Any]:
        said = {"messages": [{"role": "user", "content": self.text}]} if self.chat else {}
        said = said or {"prompt": self.text}
        return {"model": self.model, "stream": self.streamed, **said, **self.more}

    @property
    def headers(self) -> dict[str, str]:
        urgency = {"X-Noibo-Priority": "batch"} if self.batch else {}
        return {"Authorization": f"Bearer {self.key}"} | urgency


@dataclass(slots=True)
class Outcome:
    """How a call went. Moments are of the monotonic clock."""

    call: Call
    began: float
    end: End = End.HUNG
    ended: float = 0.0
    first_at: float | None = None
    status: int = 0
    retry_after: int | None = None
    code: str = ""
    message: str = ""
    said: str = ""
    by: str = ""  # the worker that gave it, as far as it says

    @property
    def took(self) -> float:
        return self.ended - self.began


def words(rng: random.Random, number: int, most: int) -> str:
    """A text that no other request has, from its first word to its last."""
    middle = rng.choices(WORDS, k=rng.randint(1, most))
    return " ".join([f"<{number}>", *middle, f"</{number}>"])


def as_grammar(text: str) -> dict[str, Any]:
    """What makes a real model say just that."""
    literal = json.dumps(text, ensure_ascii=False)
    return {"grammar": f"root ::= {literal}", "max_tokens": 400, "temperature": 0}


async def ask(
    session: aiohttp.ClientSession, url: str, call: Call, patience_s: float = 60.0
) -> Outcome:
    """Send a call and hear it to its end, whatever that is."""
    outcome = Outcome(call, time.monotonic())
    try:
        async with (
            asyncio.timeout(patience_s),
            session.post(url + call.path, json=call.body, headers=call.headers) as response,
        ):
            outcome.status = response.status
            if response.status != 200:
                told = response.headers.get("Retry-After", "")
                outcome.retry_after = int(told) if told.isdecimal() else None
                _failed(outcome, await response.json())
            elif call.streamed:
                outcome.end = await _listen(response, outcome)
            else:
                _take(outcome, await response.json())
                outcome.end = _judge(outcome)
    except TimeoutError:
        outcome.end = End.HUNG
    except aiohttp.ClientConnectorError as exc:
        outcome.end, outcome.message = End.NOBODY, str(exc)
    except (aiohttp.ClientError, ConnectionError) as exc:
        outcome.end, outcome.message = End.CUT, repr(exc)
    except (ValueError, KeyError, TypeError) as exc:
        outcome.end, outcome.message = End.WRONG, f"not in OpenAI's shape: {exc!r}"
    outcome.ended = time.monotonic()
    return outcome


async def _listen(response: aiohttp.ClientResponse, outcome: Outcome) -> End:
    heard = 0
    done = False
    async for line in response.content:
        if not line.startswith(b"data: "):
            assert line == b"\n" or line.startswith(b":"), line
            continue
        data = line[6:].strip()
        if done:
            return End.WRONG  # words after the end
        if data == b"[DONE]":
            done = True
            continue
        event = json.loads(data)
        if "error" in event:
            _failed(outcome, event)
            return End.FAILED if outcome.call.text.startswith(outcome.said) else End.WRONG
        _take(outcome, event)
        heard += 1
        if heard == outcome.call.leaves_after:
            return End.LEFT
    return _judge(outcome) if done else End.CUT


def _take(outcome: Outcome, event: dict[str, Any]) -> None:
    choice = event["choices"][0]
    said = choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content")
    if said:
        outcome.first_at = outcome.first_at or time.monotonic()
        outcome.said += said
    outcome.by = event.get("system_fingerprint") or ""


def _judge(outcome: Outcome) -> End:
    return End.ANSWERED if outcome.said == outcome.call.text else End.WRONG


def _failed(outcome: Outcome, body: dict[str, Any]) -> None:
    error = body["error"]
    outcome.code, outcome.message = str(error["code"]), error["message"]
    outcome.end = End.FAILED
