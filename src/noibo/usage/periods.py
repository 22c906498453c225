"""Days and months as they are where the user is: they begin and end by the clock on the wall.

A zone of None is the machine's own. A day may have 23, 24 or 25 hours, and begin at one.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from noibo.errors import SettingsError, UsageError

Zone = datetime.tzinfo | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where days and months begin, and what time it is."""

    where: Zone = None
    now: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month by its name, `2026-11-23` or `2026-11`, and when it ends."""

    name: str
    ends: float


def zone(name: str) -> Zone:
    """The zone of a name; empty: the machine's. Raises `SettingsError`."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise SettingsError(
            f"usage.time_zone = {name[:60]!r} is no time zone known here.",
            next_step="Write it as Asia/Ho_Chi_Minh; where the system knows none: "
            "`pip install tzdata`.",
        ) from exc


def day_of(at: float, where: Zone) -> datetime.date:
    """The day that a moment is in."""
    return datetime.datetime.fromtimestamp(at, where).date()


def begins(day: datetime.date, where: Zone) -> float:
    """When a day begins: its first moment, also where its midnight comes twice or not at all."""
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=where)
    first = midnight.timestamp()
    if day_of(first, where) < day:  # the clock went back over midnight
        return midnight.replace(fold=1).timestamp()
    return first


def day(at: float, where: Zone) -> Period:
    """The day that a moment is in."""
    found = day_of(at, where)
    return Period(found.isoformat(), begins(found + datetime.timedelta(days=1), where))


def month(at: float, where: Zone) -> Period:
    """The month that a moment is in."""
    found = day_of(at, where)
    return Period(f"{found:%Y-%m}", begins(next_month(found), where))


def next_month(day: datetime.date) -> datetime.date:
    """The first day of the month after a day's."""
    return (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


def days(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    """Every day from one to another, both of them too."""
    while first <= last:
        yield first
        first += datetime.timedelta(days=1)


def moment(said: str, now: float, where: Zone, option: str = "--since") -> float:
    """What a person says: a day (2026-11-23), a month (2026-11), today, month, or a while back from
    now (12h, 7d, 4w). Raises `UsageError`."""
    today = day_of(now, where)
    if said == "today":
        return begins(today, where)
    if said == "month":
        return begins(today.replace(day=1), where)
    number, unit = said[:-1], said[-1:]
    lengths = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
    if number.isdecimal() and len(number) < 6 and unit in lengths:
        return now - int(number) * lengths[unit]
    try:
        text = f"{said}-01" if len(said) == 7 else said
        return begins(datetime.date.fromisoformat(text), where)
    except (ValueError, OverflowError) as exc:
        raise UsageError(
            f"{option} {said[:40]!r} is no day, month or length of time.",
            next_step="Say it as 2026-11-23, 2026-11, today, month, 12h, 30d or 4w.",
        ) from exc
