"""The tokens that the answers of a batch took, in all. Pure."""

from __future__ import annotations

import msgspec

from noibo.wire.body import Json
from noibo.wire.responses.usage import count


class _Counted(msgspec.Struct):
    """Of an answer only what it took."""

    usage: Json | None = None


class _Response(msgspec.Struct):
    body: msgspec.Raw


class _Told(msgspec.Struct):
    response: _Response | None = None


class Usage:
    """The tokens of many answers, in all. Chats and responses count by different names."""

    def __init__(self) -> None:
        self._read = self._cached = self._written = self._thought = 0

    def add(self, line: bytes) -> None:
        """One more line of an output. Nothing but its usage is decoded."""
        told = msgspec.json.decode(line, type=_Told)
        try:
            body = told.response.body if told.response else b"{}"
            usage = msgspec.json.decode(body, type=_Counted).usage or {}
        except msgspec.ValidationError:
            return  # no object, or one of an engine with a usage of its own kind
        names = ("input", "output") if "input_tokens" in usage else ("prompt", "completion")
        read, written = (f"{name}_tokens" for name in names)
        self._read += count(usage, read)
        self._written += count(usage, written)
        self._cached += count(usage.get(f"{read}_details"), "cached_tokens")
        self._thought += count(usage.get(f"{written}_details"), "reasoning_tokens")

    def told(self) -> Json:
        """As OpenAI tells it."""
        return {
            "input_tokens": self._read,
            "input_tokens_details": {"cached_tokens": self._cached},
            "output_tokens": self._written,
            "output_tokens_details": {"reasoning_tokens": self._thought},
            "total_tokens": self._read + self._written,
        }
