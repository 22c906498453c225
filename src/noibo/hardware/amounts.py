"""Amounts of memory in a line about a machine, and the word at each that says whose it is.

The word stands behind its amount (`32GB RAM 500GB SSD`) or before it (`RAM 32GB SSD 500GB`); the
first of them shows which. GB are as the trade writes them: 32 GB are 32 GiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from noibo.hardware.phrases import refusal

GIB: Final = 2**30
MOST: Final = 64 * 2**40
Kind = Literal["", "ram", "vram", "disk"]
_UNITS: Final = {"t": 2**40, "g": GIB, "m": 2**20}
# Without its B an amount has few digits, and is none of megabytes: 5600G and 890M are names.
_AMOUNT: Final = re.compile(
    r"(?:(?<![\w.])|(?<=\d[x×*]))(\d+(?:\.\d+)?)(?:\s*([tgm])i?b|(?<!\d{4})\s*([tg]))(?=x\s?\d|\W|$)",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(
    r"\b(?:(?P<vram>vram|gddr\d\w*|hbm\d?\w*)|(?P<ram>ram|(?:lp)?ddr\d\w*|unified|memory|bo\s+nho)"
    r"|(?P<disk>nvme|ssd|hdd|disk|storage|o\s+cung|o\s+dia|luu\s+tru))\b",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(r"(?:[\s:=()/-]|\bof\b)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Amount:
    """So many bytes; `kind` is what a word says of them, or nothing."""

    bytes: int
    kind: Kind = ""


@dataclass(slots=True)
class _Mark:
    """An amount or a word, where it stands; `joined`: nothing stands before the next one."""

    found: re.Match[str]
    bytes: int
    kind: Kind
    joined: bool = False
    taken: bool = False


def read(part: str) -> tuple[list[Amount], str]:
    """The amounts of a part of the line, and the rest of it. Raises `UsageError`."""
    marks = _marks(part)
    first = next((i for i, one in enumerate(marks) if one.bytes), 0)
    before = first > 0 and marks[first - 1].joined
    found = [
        Amount(one.bytes, _kind(marks, i, before=before))
        for i, one in enumerate(marks)
        if one.bytes
    ]
    return found, _LABEL.sub(" ", _AMOUNT.sub(" ", part))


def is_of_disk(part: str) -> bool:
    """Whether a word of it says so."""
    return any(found["disk"] for found in _LABEL.finditer(part))


def _marks(part: str) -> list[_Mark]:
    marks = [_Mark(one, _bytes(one), "") for one in _AMOUNT.finditer(part)]
    marks += [_Mark(one, 0, _said(one)) for one in _LABEL.finditer(part)]
    marks.sort(key=lambda one: one.found.start())
    for one, other in pairwise(marks):
        one.joined = bool(_BETWEEN.fullmatch(part, one.found.end(), other.found.start()))
    return marks


def _kind(marks: list[_Mark], i: int, *, before: bool) -> Kind:
    """What the words at an amount say of it. `before`: they stand before theirs."""
    behind, ahead = _words(marks, i, 1), _words(marks, i, -1)
    if behind and not before and _is_the_next_ones(marks, i, behind):
        behind = []
    words = (ahead or behind) if before else (behind or ahead)
    if not words:
        return ""
    kind = words[0].kind
    if kind == "ram" and behind and behind[0].kind == "ram":
        words = [*words, *behind]  # `RAM 32GB DDR4`
    for one in words:
        one.taken = True
    return kind


def _words(marks: list[_Mark], i: int, step: Literal[1, -1]) -> list[_Mark]:
    """Words of one kind, next to an amount, that belong to no other."""
    found: list[_Mark] = []
    while 0 <= i + step < len(marks):
        here, i = i, i + step
        one, joined = marks[i], marks[min(here, i)].joined
        if not joined or one.bytes or one.taken or (found and found[0].kind != one.kind):
            break
        found.append(one)
    return found


def _is_the_next_ones(marks: list[_Mark], i: int, words: list[_Mark]) -> bool:
    """`32GB SSD 500GB`: a disk is the larger of the two, where no other word stands at it."""
    last = i + len(words)
    if words[0].kind != "disk" or not marks[last].joined:
        return False
    other = last + 1
    return marks[other].bytes > marks[i].bytes and not _words(marks, other, 1)


def _said(found: re.Match[str]) -> Kind:
    kinds: tuple[Kind, ...] = ("vram", "ram", "disk")
    return next(kind for kind in kinds if found[kind])


def _bytes(found: re.Match[str]) -> int:
    size = float(found[1]) * _UNITS[(found[2] or found[3]).lower()]
    if not 0 < size <= MOST:
        raise refusal(f"{found[0].strip()} is no memory that a machine has.")
    return round(size)
