"""Files put into what a server keeps, without a server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from noibo.gateway.files.card import Card
from noibo.gateway.stored import Stored


async def keep(stored: Stored, data: bytes = b"x", owner: str = "local", **said: Any) -> Card:
    """A file as an upload makes it."""
    incoming = await stored.files.start()
    await asyncio.to_thread(incoming.write, data)
    about = {"created_at": time.time(), "purpose": "evals", "name": "in.jsonl"} | said
    card = Card(id=incoming.id, owner=owner, bytes=len(data), **about)
    assert await stored.files.keep({card: incoming})
    return card
