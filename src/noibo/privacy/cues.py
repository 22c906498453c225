"""Words near a number that say what it is: "stk", "mã số thuế", "passport no.", "đơn hàng".

A number of ten digits can be a phone, a tax code, an account or an order. What decides is the word
that names it, mostly the nearest one before it. Words are compared without accents, capitals and
spaces, so "Số tài khoản", "so tai khoan", "SO_TAI_KHOAN" and "soTaiKhoan" are one cue.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from noibo.privacy.folding import decoded, table_of
from noibo.privacy.vocabulary import ISSUED, NOTHING, fillers, phrases

_BEFORE: Final = 88  # characters that are looked at
_AFTER: Final = 48
_LONGEST: Final = 5  # words of a cue
_BREAK: Final = "|"  # the end of a sentence or a line, as a word
_SENTENCE: Final = re.compile(r"[.!?;](?:[^\S\n]*\n|(?=\s))")  # "No." at the end of a line: one end
_ACCENTS: Final = {
    "a": "áàảãạăắằẳẵặâấầẩẫậ",
    "e": "éèẻẽẹêếềểễệ",
    "i": "íìỉĩị",
    "o": "óòỏõọôốồổỗộơớờởỡợ",
    "u": "úùủũụưứừửữự",
    "y": "ýỳỷỹỵ",
    "d": "đ",
}


class Cue(NamedTuple):
    """`kind`: what the word says the number is. `direct`: nothing but fillers stands between.
    `near`: in the same sentence. `said`: the word itself, without accents and spaces."""

    kind: str
    direct: bool
    near: bool
    said: str


@functools.cache
def _fold_table() -> dict[int, str]:
    table = {ord(one): plain for plain, many in _ACCENTS.items() for one in many}
    table |= dict.fromkeys(map(ord, "_:/\\-–—,()[]{}<>\"'`*#=+~“”‘’•·&@%^"), " ")
    return table | {ord("."): "", ord("\n"): " | ", ord("\r"): "", ord(";"): " | "}


@functools.cache
def _signs() -> str:
    """The same for `decoded`, with the end of a line for every end."""
    table = _fold_table()

    def change(sign: str) -> str:
        plain = table.get(ord(sign.lower()), sign.lower())
        return "\n" if plain == " | " else plain

    return table_of(change)


@functools.cache
def _kinds() -> dict[str, str]:
    """Each cue, folded and without spaces → its kind."""
    return {
        fold(phrase).replace(" ", ""): kind for kind, many in phrases().items() for phrase in many
    }


@functools.cache
def _sizes() -> dict[str, tuple[int, ...]]:
    """The last word of a cue → how many words the cues that end with it have, most first."""
    sizes: dict[str, set[int]] = {}
    for many in phrases().values():
        for phrase in many:
            words = fold(phrase).split()
            sizes.setdefault(words[-1], set()).add(len(words))
            sizes.setdefault("".join(words), set()).add(1)
    return {word: tuple(sorted(many, reverse=True)) for word, many in sizes.items()}


@functools.cache
def _fillers() -> frozenset[str]:
    return frozenset(map(fold, fillers()))


def fold(text: str) -> str:
    """Lower case, without accents; punctuation is a space, the end of a sentence or line a bar."""
    if "\\" in text:
        text = text.replace("\\n", "\n").replace("\\t", "\t")  # as JSON writes them
    if "." in text or "!" in text or "?" in text:
        text = _SENTENCE.sub(" | ", text)
    found = decoded(text, _signs())
    if found is None:
        return text.lower().translate(_fold_table())
    return found.replace("\n", " | ")


def before(text: str, start: int) -> Iterator[Cue]:
    """The cues before a place in `text`, the nearest first."""
    kinds, sizes, joints = _kinds(), _sizes(), _fillers()
    since = max(0, start - _BEFORE)
    words = fold(text[since:start]).split()
    if since and words and not text[since - 1].isspace():
        del words[0]  # cut in the middle
    direct = near = True
    end = len(words)
    while end and words[end - 1] == _BREAK:
        end -= 1  # a label may stand on the line above its value, also with a blank one between
    while end:
        word = words[end - 1]
        for size in sizes.get(word, ()):
            said = "".join(words[end - size : end]) if size <= end else ""
            kind = kinds.get(said)
            if kind is not None:
                if kind != NOTHING:
                    yield Cue(kind, direct, near, said)
                direct = False
                end -= size
                break
        else:
            end -= 1
            if word == _BREAK:
                near = False
            elif word not in joints:
                direct = False


def after(text: str, end: int) -> Cue | None:
    """The cue that follows a place in `text`: "… là số zalo của em", "… (Vietcombank)"."""
    kinds, joints = _kinds(), _fillers()
    until = min(len(text), end + _AFTER)
    words = fold(text[end:until]).split()
    if until < len(text) and words and not text[until].isspace():
        del words[-1]
    for begin, word in enumerate(words):
        for size in range(min(_LONGEST, len(words) - begin), 0, -1):
            said = "".join(words[begin : begin + size])
            kind = kinds.get(said)
            if kind == NOTHING:
                return None
            if kind:
                rest = words[begin + size :]
                if kind != ISSUED and _names_what_follows(rest):
                    return None
                return Cue(kind, True, True, said)
        if word == _BREAK or word not in joints:
            return None
    return None


def _names_what_follows(words: list[str]) -> bool:
    """Whether a cue belongs to a number behind it, rather than to the one before it."""
    joints = _fillers()
    for word in words:
        if any(char.isdigit() for char in word):
            return True
        if word == _BREAK or word not in joints:
            return False
    return False
