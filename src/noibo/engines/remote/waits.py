"""When another server is asked again: what it says itself, else a pause that grows. Pure."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

BUSY: Final = 429
OVERRUN: Final = frozenset({502, 503, 504})  # it, or what stands behind it, cannot answer now
NO_TIME: Final = OVERRUN | {BUSY}
NOT_BEGUN: Final = frozenset({BUSY, 503})  # it says that it did nothing
REFUSES_US: Final = frozenset({401, 403, 407})  # noibo and its key, not the caller
FIRST_S: Final = 0.1
GROWTH: Final = 4.0
LONGEST_S: Final = 5.0  # longer is for the caller to wait: it is told how long
MOST_S: Final = 86_400.0


def asked_for(value: str, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` asks for: a number, or a date of HTTP; None where it is neither.
    After RFC 9110, section 10.2.3."""
    text = value.strip()
    if text.isdecimal():
        return min(float(text[:12]), MOST_S)
    try:
        then = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    then = then.replace(tzinfo=UTC) if then.tzinfo is None else then
    left = (then - (now or datetime.now(UTC))).total_seconds()
    return min(max(left, 0.0), MOST_S)


def backoff(tried: int, chance: float) -> float:
    """Seconds after so many attempts (from 1), longer each time. `chance`, from 0 to 1, spreads
    callers who failed together: half of the pause is fixed, half is drawn."""
    pause = min(FIRST_S * GROWTH ** (tried - 1), LONGEST_S)
    return pause * (0.5 + 0.5 * chance)


def pause(
    status: int, headers: Mapping[str, str], tried: int, chance: float, *, worked: bool = False
) -> float | None:
    """Seconds until it is asked again after an answer of that status; None: it is not. `worked`: it
    took so long to say it that it may have done what was asked."""
    if status not in (NOT_BEGUN if worked else NO_TIME):
        return None
    wanted = asked_for(headers.get("retry-after", ""))
    if wanted is None:
        return backoff(tried, chance)
    return wanted if wanted <= LONGEST_S else None
