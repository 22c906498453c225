"""Anthropic's shapes: named events, and errors by kind."""

from __future__ import annotations

from typing import Final

import msgspec

from noibo.errors import NoiboError
from noibo.wire import sse

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class Voice:
    """How Anthropic's API says what is not an answer."""

    stream_type = "text/event-stream; charset=utf-8"

    def error(self, error: NoiboError) -> bytes:
        kind = _KINDS.get(error.status)
        kind = kind or ("api_error" if error.status >= 500 else "invalid_request_error")
        shape = {"type": kind, "message": str(error)}
        return msgspec.json.encode({"type": "error", "error": shape})

    def last_event(self, error: NoiboError) -> bytes:
        return sse.event(self.error(error), "error")

    def comment(self, words: str) -> bytes:
        return sse.comment(words)
