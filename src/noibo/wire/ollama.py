"""Ollama's shapes: lines of JSON, and errors that are one sentence."""

from __future__ import annotations

import msgspec

from noibo.errors import NoiboError


class Voice:
    """How Ollama's API says what is not an answer."""

    stream_type = "application/x-ndjson"

    def error(self, error: NoiboError) -> bytes:
        return msgspec.json.encode({"error": str(error)})

    def last_event(self, error: NoiboError) -> bytes:
        return self.error(error) + b"\n"

    def comment(self, words: str) -> bytes:
        return b""  # a line of it is an answer
