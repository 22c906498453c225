"""Where a response stands: the column `status`, as long as its server says that it works on it."""

from __future__ import annotations

import time
from typing import Any, Final

import sqlalchemy as sa

from noibo.database.schema import responses

RUNNING: Final = ("queued", "in_progress")
STALE_S: Final = 30.0  # a server that works on a response says so more often


def standing(row: Any) -> str:
    """The status of a row. What a server left unfinished when it ended has failed."""
    if row.status in RUNNING and row.seen_at < time.time() - STALE_S:
        return "failed"
    return str(row.status)


def runs() -> sa.ColumnElement[bool]:
    """True of rows that somebody works on."""
    alive = responses.c.seen_at >= time.time() - STALE_S
    return sa.and_(responses.c.status.in_(RUNNING), alive)
