"""Every text of a body, whichever API it is written for: found, and changed in place.

One walk does both, so that what is looked through is what is redacted. It knows which strings are
never content (`model`, `role`, ids); a string that it does not know is content. What cannot be
looked into (pictures, sound, PDF, tokens) is listed as `unread`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noibo.privacy.walk import Change, Piece, Walk


@dataclass(frozen=True, slots=True)
class Texts:
    """What of a body can be read, and the places of what cannot."""

    pieces: tuple[Piece, ...]
    unread: tuple[str, ...] = ()


def texts(fields: Mapping[str, Any]) -> Texts:
    """All texts of a body, in the order in which a model reads them, nearly."""
    found: list[Piece] = []

    def note(piece: Piece) -> str:
        found.append(piece)
        return piece.text

    walk = Walk(note)
    walk.body(fields)
    return Texts(tuple(found), tuple(walk.unread))


def changed(fields: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The body with each text as `change` gives it. What does not change keeps its bytes."""
    return Walk(change).body(fields)
