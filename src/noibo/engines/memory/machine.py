"""What the machine has, and what a process of it really holds."""

from __future__ import annotations

import re
from typing import Final

import psutil

from noibo.errors import SettingsError

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[KMGT]?i?B?)", re.IGNORECASE)


class Machine:
    """The memory of this machine, or of the container this runs in."""

    def total(self) -> int:
        """Bytes there are."""
        return int(psutil.virtual_memory().total)

    def available(self) -> int:
        """Bytes that can be had without anything else being pushed out."""
        return int(psutil.virtual_memory().available)

    def held_by(self, pid: int) -> int:
        """Bytes a process and its children hold: shared pages by their share. 0 once it is gone."""
        try:
            process = psutil.Process(pid)
            full = process.memory_full_info()
        except psutil.Error:
            return 0
        return int(getattr(full, "pss", 0) or full.rss)


def amount(text: str, whole: int, name: str) -> int:
    """`75%` of the whole, or a size as `8GB`, `6 GiB`, `500MB`. Raises `SettingsError`."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise SettingsError(
            f"{name} = {text!r} is no amount of memory.",
            next_step="Write a share of the machine's memory, as 75%, or a size, as 8GB.",
        )
    number, unit = float(found[1]), found[2].upper()
    if unit == "%":
        return int(whole * number / 100)
    table = _BINARY if "I" in unit else _UNITS
    return int(number * table[unit.rstrip("IB") if unit.rstrip("IB") in table else ""])
