"""What is known of a file, but for what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from noibo.privacy.judgement import LABEL
from noibo.privacy.walk import OWN
from noibo.wire.body import Json


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a file. `label`: what was said of it, which holds for what is made of it;
    empty where nothing was."""

    id: str
    owner: str
    created_at: float
    purpose: str
    bytes: int
    name: str
    expires_at: float | None = None
    label: str = ""

    def told(self) -> Json:
        """OpenAI's object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": int(self.created_at),
            "expires_at": None if self.expires_at is None else int(self.expires_at),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
            **({OWN: {LABEL: self.label}} if self.label else {}),
        }


def row_of(card: Card) -> Json:
    return {
        "id": card.id,
        "owner": card.owner,
        "created_at": card.created_at,
        "purpose": card.purpose,
        "bytes": card.bytes,
        "expires_at": card.expires_at,
        "name": msgspec.json.encode(card.name).decode(),
        "label": card.label or None,
    }


def card_of(row: Any) -> Card:
    return Card(
        id=row.id,
        owner=row.owner,
        created_at=row.created_at,
        purpose=row.purpose,
        bytes=row.bytes,
        name=msgspec.json.decode(row.name),
        expires_at=row.expires_at,
        label=row.label or "",
    )
