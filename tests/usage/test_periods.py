"""Days and months where the user is: they are as long as they are."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import SettingsError, UsageError
from noibo.usage.periods import begins, day, day_of, days, moment, month, next_month, zone
from noibo.usage.records import QUARTER_S

UTC = datetime.UTC
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
ZONES = [
    *("Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia"),
]


def at(text: str, name: str = "UTC") -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).timestamp()


def test_a_day_ends_at_its_own_midnight() -> None:
    moment = at("2026-11-23 18:00")  # the 24th in Hà Nội
    assert day(moment, UTC).name == "2026-11-23"
    assert day(moment, HANOI).name == "2026-11-24"
    assert day(moment, HANOI).ends == at("2026-11-25 00:00", "Asia/Ho_Chi_Minh")


@pytest.mark.parametrize(
    ("date", "hours"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)],
)
def test_a_day_on_which_the_clock_is_changed_has_its_own_length(date: str, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime.date.fromisoformat(date)
    length = begins(first + datetime.timedelta(days=1), berlin) - begins(first, berlin)
    assert length == hours * 3600


def test_a_day_without_a_midnight_begins_at_one() -> None:
    beirut = ZoneInfo("Asia/Beirut")  # from 00:00 to 01:00 in one step
    start = begins(datetime.date(2026, 3, 29), beirut)
    assert datetime.datetime.fromtimestamp(start, beirut).hour == 1
    assert day_of(start - 1, beirut) == datetime.date(2026, 3, 28)


def test_a_day_whose_midnight_comes_twice_begins_at_the_last() -> None:
    sao_paulo = ZoneInfo("America/Sao_Paulo")  # 2018-02-18: from 00:00 back to 23:00
    start = begins(datetime.date(2018, 2, 18), sao_paulo)
    assert day_of(start, sao_paulo) == datetime.date(2018, 2, 18)
    assert day_of(start - 1, sao_paulo) == datetime.date(2018, 2, 17)


@given(st.floats(0, 4e9), st.sampled_from(ZONES))
def test_every_moment_is_in_the_day_that_it_is_said_to_be_in(now: float, name: str) -> None:
    where = ZoneInfo(name)
    found = day(now, where)
    first = datetime.date.fromisoformat(found.name)
    assert begins(first, where) <= now < found.ends
    assert day_of(found.ends, where) > first
    whole = month(now, where)
    assert found.name.startswith(whole.name)
    assert whole.ends >= found.ends


@given(st.integers(0, 4_000_000), st.sampled_from(ZONES))
def test_no_quarter_of_an_hour_is_in_two_days(quarter: int, name: str) -> None:
    where = ZoneInfo(name)
    first, last = quarter * QUARTER_S, quarter * QUARTER_S + QUARTER_S - 1
    assert day_of(first, where) == day_of(last, where)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-01-31 23:59", "2026-02-01"),
        ("2028-02-29 12:00", "2028-03-01"),
        ("2026-12-31 23:59", "2027-01-01"),
    ],
)
def test_a_month_ends_on_the_first_of_the_next(now: str, ends: str) -> None:
    assert month(at(now), UTC).ends == at(f"{ends} 00:00")
    assert next_month(datetime.date(2026, 12, 31)) == datetime.date(2027, 1, 1)


def test_days_are_counted_with_both_ends() -> None:
    first, last = datetime.date(2026, 2, 27), datetime.date(2026, 3, 1)
    assert len(list(days(first, last))) == 3


def test_what_a_person_says_is_a_moment() -> None:
    now = at("2026-11-23 12:00")
    said = {
        "today": at("2026-11-23 00:00"),
        "month": at("2026-11-01 00:00"),
        "2026-10": at("2026-10-01 00:00"),
        "2026-10-05": at("2026-10-05 00:00"),
        "12h": now - 12 * 3600,
        "30d": now - 30 * 86_400,
        "2w": now - 14 * 86_400,
    }
    assert {text: moment(text, now, UTC) for text in said} == said
    for wrong in ("", "soon", "3y", "2026-13", "2026-02-30", "-3d", "99999999d"):
        with pytest.raises(UsageError, match="--since"):
            moment(wrong, now, UTC)


def test_a_zone_that_is_none_is_refused() -> None:
    assert zone("") is None
    assert zone("Asia/Ho_Chi_Minh") == HANOI
    for wrong in ("Asia/Nowhere", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(SettingsError):
            zone(wrong)


def test_the_machines_own_zone_has_days_too() -> None:
    found = day(at("2026-11-23 12:00"), None)
    assert begins(datetime.date.fromisoformat(found.name), None) < found.ends
