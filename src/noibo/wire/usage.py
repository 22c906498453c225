"""What was used and what it cost, as it is told over `/noibo/v1/usage`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

By = Literal["day", "user", "key", "model", "route", "label", "destination"]


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` have the name of what they are `by`, counts of calls and of tokens, and costs in
    `currency`; null: unknown. `total` is of all of them. `reference`: the model that savings are
    counted against, by its price of the day `reference_priced_on`."""

    currency: str
    by: By
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    reference: str | None = None
    reference_priced_on: str | None = None
