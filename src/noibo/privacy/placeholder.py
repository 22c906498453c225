"""Placeholders (`<PERSON_1>`), and how they are known again, whatever a model made of them.

`<PERSON_1b>` is another spelling of what `<PERSON_1>` stands for: the model sees that both are one,
and each is given back as it was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_GAP: Final = r"(?:\\?_|[ -])"
_WORD: Final = r"[A-Za-z]{1,32}"
# Inside brackets a model may write it in small letters, with spaces or nothing between its parts,
# or escaped for Markdown.
_LOOSE: Final = rf"({_WORD}(?:{_GAP}{_WORD}){{0,5}}){_GAP}?(\d{{1,6}})([A-Za-z]{{0,3}})"
# Without brackets it must be what it was: person_1 is a variable in somebody's program.
_BARE: Final = r"([A-Z]{1,32}(?:\\?_[A-Z]{1,32}){0,5})\\?_(\d{1,6})([a-z]{0,3})(?![\w])(?!\\_)"
_STRICT: Final = rf"(?<!\w){_BARE}"
_BRACKETS: Final = (
    ("<", "/?>"),
    (r"\\<", r"\\>"),
    ("&lt;", "&gt;"),
    (r"\\u003[cC]", r"\\u003[eE]"),
    ("%3[cC]", "%3[eE]"),
)
_SPACE: Final = " {0,2}"
SEEN: Final = re.compile(
    "|".join(rf"{left}{_SPACE}{_LOOSE}{_SPACE}{right}" for left, right in _BRACKETS) + f"|{_STRICT}"
)
SEEN_NEXT: Final = re.compile(_BARE)  # right behind a bracket, whatever stood there before
LONGEST: Final = 260  # characters of what SEEN may match
_SIGNS: Final = ("_", "<", "&lt;", "\\u003", "%3")  # one of them is in whatever it matches


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`kind` is of capital letters and _; `spelling` counts from 0."""

    kind: str
    number: int
    spelling: int = 0

    @property
    def bare(self) -> str:
        """Where brackets may not stand."""
        return f"{self.kind}_{self.number}{letters(self.spelling)}"

    def __str__(self) -> str:
        return f"<{self.bare}>"


def may_have(text: str) -> bool:
    """A quick look: without any of these signs there is no placeholder in it."""
    return any(sign in text for sign in _SIGNS)


def seen(match: re.Match[str]) -> str:
    """The placeholder that a match of `SEEN` is, as `Placeholder.bare` has it."""
    kind, number, spelling = (group for group in match.groups() if group is not None)
    return f"{plain_kind(kind)}_{int(number)}{spelling.lower()}"


def plain_kind(kind: str) -> str:
    """A kind of finding as it can stand in a placeholder."""
    words = [word[:32] for word in re.split(r"[^A-Z]+", kind.upper()) if word]
    return "_".join(words[:6]) or "PII"


def letters(spelling: int) -> str:
    """Nothing, b, c … z, ba, bb …"""
    found = ""
    while spelling:
        spelling, last = divmod(spelling, 26)
        found = chr(ord("a") + last) + found
    return found
