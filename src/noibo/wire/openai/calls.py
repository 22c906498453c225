"""A call that the model had to make: written by it as JSON, told as a call of a tool.

The model was held to `{"name": "…", "arguments": {…}}`, so where the arguments begin is known, and
the last brace is not theirs. What is not of that form is told as the text it is.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

from noibo.wire.body import Json

_HEAD: Final = re.compile(r'\{"name": "([a-zA-Z0-9_-]{1,128})", "arguments": ')
_LONGEST_HEAD: Final = 200
_SCHEMA: Final = {"type": "object"}


def schema_of(tools: list[Json]) -> Json:
    """The schema of a call of one of these tools."""
    calls = [_call(number, tool["function"]) for number, tool in enumerate(tools)]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _call(number: int, function: Json) -> Json:
    arguments = function.get("parameters") or _SCHEMA
    if "$defs" in arguments or "definitions" in arguments:
        arguments = {"$id": f"urn:noibo:tool:{number}", **arguments}  # its references are its own
    properties = {"name": {"const": function["name"]}, "arguments": arguments}
    return {
        "type": "object",
        "properties": properties,
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


@dataclass(slots=True)
class Call:
    """One such call, while it is written. `held`: what may be the last brace, or not enough yet."""

    begun: bool = False
    plain: bool = False
    held: str = ""

    def tell(self, choice: Json) -> None:
        """Say a chunk's choice, in place, as that of a call."""
        delta = choice.get("delta") or {}
        reason = choice.get("finish_reason")
        self.held += delta.pop("content", None) or ""
        told = self._name()
        if self.begun:
            told |= self._arguments(told, cut=reason == "length")
            delta |= {"tool_calls": [{"index": 0} | told]} if told else {}
        elif self.plain or reason or len(self.held) > _LONGEST_HEAD:
            self.plain = True
            delta["content"], self.held = self.held, ""
        choice["delta"] = delta
        if reason == "stop" and self.begun:
            choice["finish_reason"] = "tool_calls"

    def _name(self) -> Json:
        """The beginning of the call, once it is there."""
        head = None if self.begun or self.plain else _HEAD.match(self.held)
        if head is None:
            return {}
        self.begun, self.held = True, self.held[head.end() :]
        function = {"name": head[1], "arguments": ""}
        name = f"call_{secrets.token_hex(12)}"
        return {"id": name, "type": "function", "function": function}

    def _arguments(self, told: Json, *, cut: bool) -> Json:
        """More of the arguments: all but the last character, which may be the call's own brace.
        One chunk tells of a call once: clients join what comes in different chunks."""
        keep = len(self.held) if cut else len(self.held) - 1
        piece, self.held = self.held[:keep], self.held[keep:]
        return {"function": told.get("function", {}) | {"arguments": piece}} if piece else {}
