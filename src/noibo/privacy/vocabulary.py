"""The words that name numbers, as they lie in `data/cues.txt`, by what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final

OTHER: Final = "OTHER"  # numbers that are nobody's: orders, laws, barcodes, versions
ISSUED: Final = "ISSUED"  # "cấp ngày", "do Công an … cấp": of papers that prove who one is
BANK: Final = "BANK"  # the name of a bank, or a transfer: an account may follow, or an amount
COMPANY: Final = "COMPANY"  # a company's name begins so: its tax code may follow
DOB: Final = "DOB"
NOTHING: Final = "NOTHING"  # phrases that hold such a word and mean something else
_FILLERS: Final = "FILLERS"


def phrases() -> dict[str, list[str]]:
    """What is named → the phrases that name it, as they are written."""
    return {kind: list(many) for kind, many in _read().items() if kind != _FILLERS}


def fillers() -> tuple[str, ...]:
    """Words that may stand between a phrase and its number without making it another's."""
    return _read()[_FILLERS]


def within(text: str, phrases: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of `phrases`, each under a part of it, whose part is in the text: the others are not
    looked for."""
    found: list[str] = []
    for part, many in phrases.items():
        if part in text:
            found += many
    return found


@cache
def _read() -> dict[str, tuple[str, ...]]:
    file = resources.files("noibo.privacy") / "data" / "cues.txt"
    read: dict[str, str] = {}
    kind = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
            read[kind] = ""
        elif line and not line.startswith("#"):
            read[kind] += f" {line}"  # a phrase may go on in the next line
    return {
        kind: tuple(one.strip() for one in many.split(",") if one.strip())
        for kind, many in read.items()
    }
