"""A conversation does not change its model each turn without a reason.

What answered the turn before is remembered by a digest of that turn's messages: the next request
of the same conversation begins with them. Nothing but digests, salted anew in each process, and
names of models is kept. What the memory says goes into the plan as a value; the plan stays pure.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.routing.strategy import Class, Strategy

MOST: Final = 10_000  # conversations that are remembered
_KEPT_FIELDS: Final = ("role", "content", "tool_calls", "tool_call_id", "name")
Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Previous:
    """What answered the turn before. `unfit`: its answer was found, or voted, not good; `easy`:
    what was asked was plainly simple."""

    model: str
    local: bool
    unfit: bool = False
    easy: bool = False


def class_for(
    p: float | None, strategy: Strategy, previous: Previous | None
) -> tuple[Class, bool | None]:
    """The class of a request, and which side its conversation holds it on: True this machine, False
    elsewhere, None neither. A side is left where a threshold is passed by more than a margin; the
    one elsewhere, on which more may depend than a thank-you shows, where that was so for two turns.
    An answer that was not good is at least checked the next time."""
    plain = strategy.classify(p)
    if previous is None or not strategy.sticky:
        return plain, None
    if previous.unfit:
        return ("medium" if plain == "simple" else plain), None
    if p is None:
        return plain, previous.local
    if previous.local:
        if p < strategy.complex_threshold - strategy.margin:
            return "complex", None
        return ("medium" if plain == "complex" else plain), True
    easier = previous.easy and strategy.plainly_simple(p)
    return plain, None if easier else False


class Conversations:
    """Which model answered last, of the conversations that went on lately. On one event loop."""

    __slots__ = ("_found", "_most", "_salt")

    def __init__(self, most: int = MOST) -> None:
        self._found: OrderedDict[bytes, Previous] = OrderedDict()
        self._most = most
        self._salt = secrets.token_bytes(16)

    def recall(self, owner: str, messages: Messages) -> Previous | None:
        """What answered the turn before this request of `owner`; None for a first turn, and for
        one that is not known."""
        before = turn_before(messages)
        return self._found.get(self._key(owner, before)) if before else None

    def remember(self, owner: str, messages: Messages, previous: Previous) -> None:
        """Keep what answered this request."""
        key = self._key(owner, messages)
        self._found[key] = previous
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def __len__(self) -> int:
        return len(self._found)

    def _key(self, owner: str, messages: Messages) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        digest.update(owner.encode(errors="replace") + b"\0")
        for message in messages:
            said = {name: message[name] for name in _KEPT_FIELDS if message.get(name) is not None}
            digest.update(json.dumps(said, sort_keys=True, default=str).encode() + b"\n")
        return digest.digest()


def turn_before(messages: Messages) -> Messages:
    """The messages of the request before: all that stands before the last answer."""
    answers = [place for place, one in enumerate(messages) if one.get("role") == "assistant"]
    place = answers[-1] if answers else 0
    while place and messages[place - 1].get("role") == "assistant":  # in several parts
        place -= 1
    return messages[:place]
