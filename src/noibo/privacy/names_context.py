"""What stands around a name: "Bệnh nhân …", "my name is …", "… said", "đường …".

The words before and after a candidate are put into few classes, so that what is learnt from one
sentence holds for others.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from noibo.privacy.folding import bare
from noibo.privacy.names_lexicon import HONORIFIC, ORGANISATION, kinds, sections

_LEFT: Final = 36  # characters
_RIGHT: Final = 26


@cache
def _classes(side: str) -> dict[str, str]:
    """Phrases of one to three words to their classes; one that several have is of the first."""
    found: dict[str, str] = {}
    for title, body in sections("name_context.txt").items():
        where, _, name = title.partition(" ")
        if where == side:
            for phrase in " ".join(body.split()).split(", "):
                found.setdefault(phrase, name)
    for phrase, name in list(found.items()):
        if len(phrase) > 3:
            found.setdefault(bare(phrase), name)
    return found


_STRIPPED: Final = " \t\"'“”‘’(<>[{*_`"
_FIRST_WORDS: Final = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)?")
_PERSONS: Final = frozenset(
    ("người", "nguoi", "chủ", "họ", "trưởng", "phó", "khách", "ông", "bà", "viên", "bên", "đại")
)
_QUOTES: Final = ".(\"'“"
GLUED: Final = frozenset("./\\#$%-+~^")
_ENDS: Final = ".!?…"


def before(text: str, start: int) -> list[str]:
    """Features of what stands left of `start`."""
    piece = text[max(0, start - _LEFT) : start]
    plain = piece.rstrip(_STRIPPED)
    features = ["l:glued"] if piece[-1:] in GLUED else []
    if len(plain) < len(piece) and piece[-1] in "\"'“‘(":
        features.append("l:quoted")
    line, broken, tail = plain.rpartition("\n")
    if broken and not tail.strip(_STRIPPED):
        features.append("l:line")
        plain = line.rstrip(_STRIPPED + "\n\r")
        if plain and plain[-1] not in ":,":
            return features
    elif not tail.strip():
        features.append("l:line" if broken else "l:start")
        return features
    else:
        plain = tail
    mark = plain[-1:]
    if mark in ":-–—|=,;.!?…":
        plain = plain.rstrip(":-–—|=,;.!?… \"'")
        features.append("l:end" if mark in _ENDS else "l:" + mark)
    elif mark.isdigit():
        features.append("l:digit")
        return features
    said = plain.lower()[-28:].replace("_", " ").split()[-3:]
    known = _before(said, mark)
    if known:
        features.append("l:" + known)
    if not known and mark not in _ENDS and said and said[-1][:1].isalpha():
        features.append("l:word")
    return features


def _before(said: list[str], mark: str) -> str:  # noqa: PLR0911
    """The class of the longest phrase right before, if the mark between lets it through."""
    if not said:
        return ""
    if mark in _ENDS:
        title = said[-1].strip(".(\"'")
        return "honorific" if kinds[title] & HONORIFIC and mark == "." and len(title) < 5 else ""
    last = said[-1].strip(_QUOTES)
    two = f"{said[-2]} {last}" if len(said) > 1 else last
    three = f"{said[0].strip(_QUOTES)} {two}" if len(said) > 2 else two
    classes = _classes("before")
    known = classes.get(three) or classes.get(two.strip(_QUOTES)) or classes.get(last, "")
    if kinds[last] & HONORIFIC and known != "label":
        return "honorific"
    if mark in ":=" and known in ("", "organisation") and said[0].strip(_QUOTES) == "bên":
        return "label"  # bên bán xe:
    if mark in ":=" and not known and _asks_for_somebody(said):
        return "label"
    if mark in ":|=" and known in ("intro", "role", "label", "greeting", "origin", "verb"):
        return "label"
    if mark in ",;-–—":
        return known + "," if known in ("greeting", "label", "role") else ""
    return known


def _asks_for_somebody(said: list[str]) -> bool:
    """`Người lập phiếu:`, `chủ cửa hàng:`: a label that begins with a word for persons."""
    return any(word.strip(_QUOTES) in _PERSONS for word in said)


def after(text: str, end: int) -> list[str]:
    """Features of what stands right of `end`."""
    piece = text[end : end + _RIGHT]
    if not piece or piece[0] in "\r\n":
        return ["r:line"]
    mark = piece[0]
    if mark in "'’" and piece[1:2] in ("s", " "):
        return ["r:possessive"]
    if mark in ".,:;!?()-–—\"”@/|<'&=*":
        features = ["r:" + mark]
        if mark in GLUED and piece[1:2].isalnum():
            features.append("r:glued")
        if mark == "," and piece[1:3].strip().isdigit():
            features.append("r:number")
        return features
    found = _FIRST_WORDS.match(piece, 1)
    if not found:
        return ["r:number"] if piece[1:2].isdigit() else ["r:" + piece.strip()[:1]]
    phrase = found[0].lower()
    classes, first = _classes("after"), phrase.partition(" ")[0]
    known = classes.get(phrase) or classes.get(first)
    if not known and kinds[first] & ORGANISATION:
        known = "organisation"
    return ["r:" + known] if known else ["r:word"]
