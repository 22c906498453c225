"""Anthropic's shapes: named events, errors by kind, and the list of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from noibo import logs
from noibo.errors import ContextExceeded, InvalidRequest, NoiboError
from noibo.wire import sse
from noibo.wire.body import Json

VERSION_HEADER: Final = "anthropic-version"  # who sends it speaks this API
PING: Final = sse.event(b'{"type":"ping"}', "ping")
USUAL_PAGE: Final = 20
LONGEST_PAGE: Final = 1000

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
        shape = {"type": kind, "message": _words(error)}
        said = {"type": "error", "error": shape, "request_id": logs.request_id.get() or None}
        return msgspec.json.encode(said)

    def last_event(self, error: NoiboError) -> bytes:
        return sse.event(self.error(error), "error")

    def comment(self, words: str) -> bytes:
        """A ping, which its clients know as a sign of life, with the words for people."""
        return sse.comment(words).removesuffix(b"\n") + PING


def _words(error: NoiboError) -> str:
    """What went wrong; of what is too long in the words by which its clients know it, and make
    their `max_tokens` smaller."""
    if not isinstance(error, ContextExceeded):
        return str(error)
    prompt, window, wanted = error.prompt, error.window, error.wanted
    said = f"prompt is too long: {prompt} tokens > {window} maximum"
    if wanted is not None and prompt < window:
        said = (
            f"input length and `max_tokens` exceed context limit: {prompt} + {wanted} > {window}, "
            "decrease input length or `max_tokens` and try again"
        )
    return f"{said}. {error.next_step}".strip()


def model_card(name: str, created: float) -> Json:
    """One model."""
    at = datetime.fromtimestamp(int(created), UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": at}


def model_page(found: Sequence[tuple[str, float]], asked: Mapping[str, str]) -> Json:
    """One page of the models, by `limit` and `after_id` or `before_id`. Raises `InvalidRequest`."""
    names = [name for name, _ in found]
    limit = asked.get("limit", str(USUAL_PAGE))
    if not (limit.isdecimal() and 1 <= int(limit) <= LONGEST_PAGE):
        raise InvalidRequest(f"limit: it goes from 1 to {LONGEST_PAGE}.", param="limit")
    start, end = 0, len(found)
    for name in ("after_id", "before_id"):
        if (mark := asked.get(name)) is not None and mark not in names:
            raise InvalidRequest(f"{name}: {mark[:100]!r} is no model here.", param=name)
    if "after_id" in asked:
        start = names.index(asked["after_id"]) + 1
        end = min(end, start + int(limit))
    elif "before_id" in asked:
        end = names.index(asked["before_id"])
        start = max(start, end - int(limit))
    else:
        end = min(end, int(limit))
    page = found[start:end]
    return {
        "data": [model_card(*model) for model in page],
        "has_more": start > 0 if "before_id" in asked else end < len(found),
        "first_id": page[0][0] if page else None,
        "last_id": page[-1][0] if page else None,
    }
