"""One batch, as it stands in the database and as OpenAI tells it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.privacy.judgement import LABEL
from noibo.privacy.walk import OWN
from noibo.wire.batch_usage import Usage
from noibo.wire.batches import ACTIVE, WINDOW
from noibo.wire.body import Json

_TIMES: Final = [
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
]
COLUMNS: Final = frozenset(
    [
        "id",
        "owner",
        "asked_by",
        "created_at",
        "expires_at",
        "status",
        "input_file_id",
        "total",
        "completed",
        "failed",
    ]
)


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. `body` has what only its reader wants to know."""

    id: str
    owner: str
    created_at: float
    expires_at: float
    status: str
    input_file_id: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    body: Json = field(default_factory=dict)
    asked_by: str | None = None  # whose key or session its lines are asked with

    @property
    def endpoint(self) -> str:
        return str(self.body["endpoint"])

    @property
    def label(self) -> str:
        """What was said of all its lines; empty where nothing was."""
        return str((self.body.get(OWN) or {}).get(LABEL, ""))

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def is_over(self) -> bool:
        """Its time is, by the clock on the wall: a machine may have slept."""
        return self.status in {"validating", "in_progress"} and time.time() >= self.expires_at

    def told(self) -> Json:
        """OpenAI's object."""
        counts = {"total": self.total, "completed": self.completed, "failed": self.failed}
        return {
            "id": self.id,
            "object": "batch",
            "status": self.status,
            "created_at": int(self.created_at),
            "expires_at": int(self.expires_at),
            "input_file_id": self.input_file_id,
            "completion_window": WINDOW,
            "request_counts": counts,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "usage": Usage().told(),
            **dict.fromkeys(_TIMES),
            **{k: v for k, v in self.body.items() if k != "output_lifetime_s"},
        }


def batch_of(row: Any) -> Batch:
    columns = {name: getattr(row, name) for name in COLUMNS}
    return Batch(**columns, body=msgspec.json.decode(row.body))


def text_of(body: Json) -> str:
    return msgspec.json.encode(body).decode()
