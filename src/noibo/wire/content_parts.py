"""The parts that a message's content may have: text, and pictures where the model sees them.

Pictures come inside the request (`data:`). Nothing is fetched for a caller: an address would be
opened from inside the house, by whoever can write a message.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from noibo.errors import InvalidRequest
from noibo.wire import pictures

MOST_PIXELS: Final = 2 * pictures.MOST_PIXELS  # of all pictures of a request
MOST_PICTURES: Final = 64
DETAILS: Final = ("auto", "low", "high")
_SEND_IT: Final = 'Send it inside the request: "url": "data:image/png;base64,…".'


def check_parts(messages: Any, *, model: str, sees_images: bool) -> None:
    """Raise `InvalidRequest`, naming the part, for what no model here reads or this one does not.

    Messages that are none are left for the engine to refuse. Takes time with large pictures: not
    for the event loop."""
    checked = _Checked(model, sees_images)
    for number, message in _with_parts(messages):
        for place, part in enumerate(message["content"]):
            checked.part(f"messages[{number}].content[{place}]", part)


def refusals_as_text(messages: Any) -> bool:
    """Say the refusals of earlier answers as the text they are, in place: engines know no others
    than texts. True if there was one."""
    found = False
    for _, message in _with_parts(messages):
        for place, part in enumerate(message["content"]):
            if part.get("type") == "refusal":
                message["content"][place] = {"type": "text", "text": part["refusal"]}
                found = True
    return found


def drop_thoughts(messages: Any) -> bool:
    """Take what was thought before out of the messages, in place. True if there was something."""
    found = False
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.pop("reasoning_content", None) is not None:
            found = True
    return found


def _with_parts(messages: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The messages whose content is a list."""
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            yield number, message


@dataclass(slots=True)
class _Checked:
    """What was seen of a request so far."""

    model: str
    sees_images: bool
    seen: list[pictures.Picture] = field(default_factory=list)

    def part(self, where: str, part: Any) -> None:
        if not isinstance(part, dict):
            raise InvalidRequest(
                f"{where} is no object.",
                param=where,
                next_step='Send parts such as {"type": "text", "text": "…"}.',
            )
        kind = part.get("type")
        if kind == "image_url":
            self._picture(where, part)
        elif kind not in ("text", "refusal"):  # whatever it is, hashable or not
            raise InvalidRequest(
                f"{where}: parts of type {kind!r} are not read by any model here.",
                param=where,
                next_step="Send text, or pictures as image_url to a model that sees.",
            )
        elif not isinstance(part.get(kind), str):
            raise InvalidRequest(f"{where}.{kind} must be a string.", param=f"{where}.{kind}")

    def _picture(self, where: str, part: Mapping[str, Any]) -> None:
        if not self.sees_images:
            raise InvalidRequest(
                f"{where}: {self.model} sees no images: it has no projector.",
                param=where,
                next_step="Ask a model that came with one (`noibo ls`), or send text only.",
            )
        image = part.get("image_url")
        where = f"{where}.image_url"
        url = image.get("url") if isinstance(image, dict) else None
        if not isinstance(image, dict) or not isinstance(url, str):
            raise InvalidRequest(f"{where}.url must be a string.", param=f"{where}.url")
        detail = image.get("detail")
        if detail is not None and detail not in DETAILS:
            raise InvalidRequest(
                f"{where}.detail must be one of auto, low and high.", param=f"{where}.detail"
            )
        self._look(f"{where}.url", url)

    def _look(self, where: str, url: str) -> None:
        try:
            picture = pictures.look_at(_inside(where, url))
        except ValueError as exc:
            raise InvalidRequest(
                f"{where}: the picture cannot be used: {exc}.", param=where
            ) from exc
        self.seen.append(picture)
        if len(self.seen) > MOST_PICTURES or sum(one.pixels for one in self.seen) > MOST_PIXELS:
            raise InvalidRequest(
                f"{where}: more than {MOST_PICTURES} pictures, or {MOST_PIXELS:,} pixels in all.",
                param=where,
                next_step="Send fewer pictures, or smaller ones.",
            )


def _inside(where: str, url: str) -> bytes:
    """The bytes of a `data:` URL; no other is opened. Which kind of picture it says is not asked:
    clients guess that."""
    head, comma, text = url.partition(",")
    scheme, _, form = head.partition(":")
    if scheme.lower() != "data":
        known = scheme.lower() in {"http", "https", "file", "ftp"}
        what = f"{scheme.lower()} addresses are not fetched" if known else "it is no data: URL"
        raise InvalidRequest(f"{where}: {what}.", param=where, next_step=_SEND_IT)
    kind, *options = form.lower().split(";")
    if not comma or "base64" not in options or not kind.startswith("image/"):
        raise InvalidRequest(f"{where} is no picture in base64.", param=where, next_step=_SEND_IT)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{where}: its base64 is damaged.", param=where) from None
