"""A conversation in turns, of which the oldest can go. Pure: messages in, messages out.

A turn begins with what a user says, and ends before the next. A call of a tool and its result are
always of one turn, so that there is never a result without its call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from noibo.wire.body import Json

_TOLD: Final = frozenset({"system", "developer"})
_RESULTS: Final = frozenset({"tool", "function"})
_NO_NAME: Final = ""
ABOUT: Final = "Summary of the conversation so far:\n"


@dataclass(frozen=True, slots=True)
class Turns:
    """The messages, and the places at which the turns begin that may go, with the place of the last
    one, which stays. What the system was told stays wherever it stands."""

    messages: Sequence[Json]
    starts: Sequence[int]

    @classmethod
    def of(cls, messages: Sequence[Json]) -> Turns:
        """Part a conversation."""
        return cls(messages, _starts(messages))

    @property
    def droppable(self) -> int:
        """Turns that may go: all but the last."""
        return len(self.starts) - 1

    def dropped(self, turns: int) -> list[Json]:
        """The messages of so many of the oldest turns."""
        return [one for one in self.messages[: self.starts[turns]] if not _is_told(one)]

    def without(self, turns: int) -> list[Json]:
        """The conversation without so many of the oldest turns."""
        kept = [one for one in self.messages[: self.starts[turns]] if _is_told(one)]
        return [*kept, *self.messages[self.starts[turns] :]]

    def summarised(self, turns: int, summary: str, *, apart: bool) -> list[Json]:
        """The same, with a summary of what went after what the system was told first: as a message
        of its own, or (`apart` False) at the end of that."""
        kept = self.without(turns)
        head = next((n for n, one in enumerate(kept) if not _is_told(one)), len(kept))
        text = ABOUT + summary
        if apart or not head:
            return [*kept[:head], {"role": "system", "content": text}, *kept[head:]]
        return [*kept[: head - 1], _with(kept[head - 1], text), *kept[head:]]


def _starts(messages: Sequence[Json]) -> list[int]:
    """Where turns begin: at what a user says, unless a call before it has its result after it."""
    made = {call for one in messages for call in _calls(one)}
    owed: set[str] = set()
    starts: list[int] = []
    first = next((n for n, one in enumerate(messages) if not _is_told(one)), 0)
    for place in range(len(messages) - 1, first, -1):
        message = messages[place]
        if _role(message) in _RESULTS:
            owed |= {_name(message.get("tool_call_id"))} & made
        owed -= _calls(message)
        if _role(message) == "user" and not owed:
            starts.append(place)
    return [first, *reversed(starts)]


def _calls(message: Json) -> set[str]:
    """What stands for the calls that a message makes: their ids, and for what has none."""
    calls = message.get("tool_calls")
    ids = [one.get("id") for one in calls if isinstance(one, dict)] if _is_list(calls) else []
    return {*map(_name, ids), _NO_NAME} if ids or message.get("function_call") else set()


def _name(call: Any) -> str:
    return call if isinstance(call, str) else _NO_NAME


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _role(message: Json) -> str:
    role = message.get("role")
    return role if isinstance(role, str) else ""


def _is_told(message: Json) -> bool:
    return _role(message) in _TOLD


def _with(message: Json, text: str) -> Json:
    """A message with more text."""
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": text}]}
    return {**message, "content": f"{content or ''}\n\n{text}".lstrip()}
