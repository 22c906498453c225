"""A page of a list as OpenAI's API turns them: after a row, so many, in one order or the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from noibo.errors import InvalidRequest
from noibo.wire.body import Json


@dataclass(frozen=True, slots=True)
class Page:
    """What a caller wants to see of a list."""

    limit: int
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"

    def of_all(self, rows: Sequence[Json]) -> Json:
        """The page of rows that are all here, in rising order."""
        rows = rows if self.order == "asc" else rows[::-1]
        if self.after is not None:
            names = [row["id"] for row in rows]
            if self.after not in names:
                raise self.unknown()
            rows = rows[names.index(self.after) + 1 :]
        return listed(rows[: self.limit], has_more=len(rows) > self.limit)

    def unknown(self) -> InvalidRequest:
        """What to raise where `after` is not in the list."""
        return InvalidRequest(
            f"after: there is no {str(self.after)[:80]!r} in this list.", param="after"
        )


def listed(rows: Sequence[Json], *, has_more: bool) -> Json:
    """Rows as OpenAI lists them."""
    return {
        "object": "list",
        "data": list(rows),
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": has_more,
    }
