"""How long a model stays loaded: seconds, or a length of time as Go writes it, as Ollama has it."""

from __future__ import annotations

import math
import re
from typing import Final

from noibo.errors import InvalidRequest

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_NUMBER: Final = r"(?:[0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
_PART: Final = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_LENGTH: Final = re.compile(rf"([+-]?)({_NUMBER}|(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h)){{1,8}})")
_FOR_EVER_S: Final = 100 * 365 * 86400.0


def parse(value: object, name: str) -> float:
    """Seconds; infinity for whatever is negative or longer than a century.

    `value` is a number of seconds, or a text: `90`, `90s`, `5m`, `1h30m`, `300ms`, `-1`. Raises
    `InvalidRequest`, with `name` as what was wrong.
    """
    seconds = _seconds(value)
    if seconds is None:
        said = repr(value)
        raise InvalidRequest(
            f"{name} = {said if len(said) < 80 else said[:77] + '…'} is no length of time.",
            param=name,
            next_step='Give seconds, or a text as "90s", "5m", "1h30m"; 0: unload at once; '
            "-1: keep for ever.",
        )
    return seconds if 0 <= seconds <= _FOR_EVER_S else math.inf


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return _read(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return float(min(max(value, -1), 2 * _FOR_EVER_S))  # an int may be larger than any float


def _read(text: str) -> float | None:
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    parts = _PART.findall(found[2])
    length = (
        sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(found[2])
    )
    return -length if found[1] == "-" else length
