"""Bytes, times and rates as people read them: whole for a line of text, short for a column."""

from __future__ import annotations

import time


def size(count: float) -> str:
    """`512 MB`, `1.2 GB`."""
    number, unit = _scaled(count)
    return f"{number} {unit}B"


def short_size(count: float) -> str:
    """`512M`, `1.2G`: never more than four characters below a petabyte."""
    number, unit = _scaled(count)
    return f"{number}{unit}"


def _scaled(count: float) -> tuple[str, str]:
    if count < 10**6:
        return f"{max(count, 0) / 1e3:.0f}", "k"
    for unit, bytes_each in (("M", 10**6), ("G", 10**9), ("T", 10**12)):
        many = count / bytes_each
        if many < 999.5:
            return (f"{many:.1f}" if many < 9.95 and unit != "M" else f"{many:.0f}"), unit
    return f"{count / 1e12:.0f}", "T"


def seconds(length: float) -> str:
    """`8 s`, `5 min`, `2 h`, `3 d`."""
    number, unit = _length(length)
    return f"{number} {unit}"


def short_seconds(length: float) -> str:
    """`8s`, `5m`, `2h`, `3d`."""
    number, unit = _length(length)
    return f"{number}{unit[0]}"


def _length(length: float) -> tuple[int, str]:
    length = max(length, 0.0)
    for unit, seconds_each, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if length < most:
            return round(length / seconds_each), unit
    return round(length / 86_400), "d"


def ago(moment: float) -> str:
    """How long a moment of the clock is past."""
    return seconds(time.time() - moment)
