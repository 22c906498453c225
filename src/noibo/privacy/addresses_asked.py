"""Addresses that a label asks for: `Địa chỉ: …`, `"address": "…"`, `Nơi cư trú – …`.

Behind a label the whole value is the address, also where its parts have no form of their own: the
name of a building, a room, a quarter nobody lists, words in lower case. It ends where the line, the
cell or the quotation ends, at the next label, and at words that no address has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from noibo.privacy.addresses_rules import fits, kinds, known, listed
from noibo.privacy.folding import bare as without_accents
from noibo.privacy.vocabulary import within
from noibo.privacy.word_tree import any_of

# Looked for in lower case and without accents, by what is in them: each is one fast search through
# the text, and where that part is nowhere the rest is not looked for.
_LABELS: Final = {
    "dia": ("dia chi", "dia_chi", "diachi"),
    "d/c": ("d/c",),
    "add": ("address", "addr", "add:"),
    "noi": ("noi o", "noi_o", "noi nhan", "noi giao"),
    "tru": ("thuong tru", "thuong_tru", "tam tru", "tam_tru", "cu tru", "tru so"),
    "quan": ("que quan", "que_quan", "nguyen quan"),
    "giao ": ("giao den", "giao toi", "giao hang", "giao ve"),
    "song": ("sinh song", "song tai"),
    "ho khau": ("ho khau",),
    "cho o": ("cho o",),
    "ngu tai": ("ngu tai",),
    "dc:": ("dc:",),
    "lap dat": ("lap dat",),
    "ship ve": ("ship ve",),
    "nha o": ("nha o",),
    "can:": ("can:",),
    "can ho:": ("can ho:",),
}
_SHORT_LABELS: Final = frozenset({"addr", "dc:", "add:", "can:", "can ho:"})
_OPENED: Final = re.compile(
    r"(?P<about>(?:[ _]?[a-z0-9]+){0,4}(?: ?\([^()\n]{1,24}\))?)[\"'*`]{0,2}"
    r"(?:\s?[:=>][ \t>*]*\n?[ ]*[\"'(]?|(?P<inline> ))"
)
_NOT_HOMES: Final = re.compile(r"mail|\bip|mac\b|web|url|http|memory|wallet|vi\b|bo nho|host")
_INLINE_ABOUT: Final = re.compile(
    r"(?: (?:tai|o|la|hien tai|hien nay|giao hang|nhan hang|lien he|cu tru|thuong tru|nha|"
    r"cong ty|is|ve|den|toi))*$"
)
# A word, and what stands between it and the next one.
_STEP: Final = r"([^\s,;|\t<>\"]+)( ?[,–-] ?\n?[ ]*|[ ])?"
_NEXT_LABELS: Final = (
    "sdt dt d/t dthoai dien so_dien tel phone mobile mob mst ma msdn email mail e-mail cccd cmnd "
    "cmt cc fax lh hotline tk stk tai_khoan so_tk website nguoi ngay sinh dob gap goi zalo "
    "ho_ten ten khach contact attn quoc_tich dan_toc so_cmnd so_cccd so_ho_chieu hinh ly_do "
    "bhyt bhxh ghi_chu note gioi_tinh chuc_vu dai_dien cod"
)
# Places begin with them too: Nghệ An, Liên Chiểu, Đơn Dương.
_LABELS_IN_PLACES: Final = "nghe lien the don"
_LONGEST: Final = 160
_SHORTENED: Final = frozenset(
    ("tp", "tx", "tt", "kp", "tdp", "kdc", "kdt", "kcn", "ktx", "ql", "tl", "dg", "duong", "st",
     "str", "rd", "ave", "blvd", "dist", "no", "apt", "bldg", "t.p")
)  # fmt: skip
_LONG_NUMBER: Final = re.compile(r"\+?\d[\d.\-]{7,}")
_CLOSING: Final = ".!?)'}]"
_CHATTED: Final = frozenset(
    ("nha", "nhe", "nhe!", "a", "ah", "ạ", "e", "em", "anh", "chi", "nhung", "va", "gap",
     "goi", "giao", "cho", "ship", "lay", "sdt", "dt", "lh", "khi", "thi", "cam", "on",
     "thanks", "di", "nua", "do", "day", "voi", "luc", "truoc", "sau", "trong", "ngoai")
)  # fmt: skip


@cache
def _steps() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The first word of a value, and another one, which is not the next label."""
    words = (word.replace("_", " ") for word in _NEXT_LABELS.split())
    labels = (
        rf"(?:{any_of(words)})(?![A-Za-z/])|"
        rf"(?:{any_of(_LABELS_IN_PLACES.split())})(?![A-Za-z/]|[ ][A-Z])"
    )
    return re.compile(_STEP), re.compile(rf"(?!{labels}){_STEP}")


def asked(text: str, bare: str) -> Iterator[tuple[int, int, bool]]:
    """Where the values of labels stand, and whether a label with a colon asks for all of it; one
    that stands in a sentence only says where the address begins."""
    low = bare.lower()
    if len(low) != len(bare):
        return
    for label in within(low, _LABELS):
        place = low.find(label)
        while place >= 0:
            after = place + len(label) - label.endswith(":")
            alone = not low[place - 1 : place].isalnum() or label not in _SHORT_LABELS
            opened = _OPENED.match(low, after) if alone else None
            if opened and not _NOT_HOMES.search(opened["about"] + low[max(0, place - 12) : place]):
                yield from _value(text, bare, opened)
            place = low.find(label, after)


def _value(text: str, bare: str, opened: re.Match[str]) -> Iterator[tuple[int, int, bool]]:
    start = opened.end() if opened["inline"] is None else _behind_inline(bare, opened)
    if start < 0:
        return
    end = _quoted(bare, start) or _end(text, bare, start)
    if _says_where(text, bare, start, end):
        yield start, end, opened["inline"] is None


def _behind_inline(bare: str, opened: re.Match[str]) -> int:
    """Where the first word that an address has stands: `ngụ tại |số 5`, or -1."""
    said = bare[opened.start() : opened.start() + 44]
    for word in re.finditer(r" (?=[A-Z0-9])", said):
        start = opened.start() + word.end()
        if _INLINE_ABOUT.fullmatch(said[: word.start()].lower()):
            return start
        before = said[: word.start()].lower()
        about, _, unit = before.rpartition(" ")
        if unit in _unit_words() and _INLINE_ABOUT.fullmatch(about):
            return opened.start() + len(about) + 1
        pair, _, first = about.rpartition(" ")
        if f"{first} {unit}" in kinds() and _INLINE_ABOUT.fullmatch(pair):
            return opened.start() + len(pair) + 1
        return -1
    return -1


def _quoted(bare: str, start: int) -> int:
    """Where a value in quotation marks ends, as JSON and SQL have them, or 0."""
    mark = bare[start - 1]
    if mark not in "\"'" or bare[start - 2 : start - 1] not in (" ", ":", "=", "("):
        return 0
    end = bare.find(mark, start, start + _LONGEST)
    return end if end > 0 and "\n" not in bare[start:end] else 0


def _end(text: str, bare: str, start: int) -> int:
    """Where the value ends."""
    small = not re.search(r"[A-Z]{2}|[A-Z][a-z]", bare[start : start + 40].partition("\n")[0])
    step, on = _steps()
    end = place = start
    words = 0
    while place - start < _LONGEST:
        token = step.match(bare, place)
        if not token:
            break
        step, last, word, stop = on, token.end(1), token[1], False
        if word[-1] in _CLOSING:
            stop = _sentence_ends(bare, last, word)
            word = word.rstrip(_CLOSING)
        if not word or (len(word) > 7 and _LONG_NUMBER.match(word)):
            break
        if not _belongs(text, place, word, small=small):
            # The name of a shop or a school before the street.
            place = _behind_name(bare, start, place)
            if not place:
                break
            continue
        # In lower case a part has up to five words.
        words += 1
        if small and words > 6:
            break
        end = place + len(word)
        if stop or token[2] is None or (end < last and bare[end] in ")'}]!?"):
            break
        words = 0 if token[2].strip() else words
        place = token.end()
    return end


def _behind_name(bare: str, start: int, place: int) -> int:
    """Where a street or the like begins after a name with words in small letters, or 0."""
    if place == start or "," in bare[start:place]:
        return 0
    comma = bare.find(", ", place, place + 48)
    if comma < 0 or re.search(r"[.;:\n\"(]", bare[place:comma]):
        return 0
    word = bare[comma + 2 : comma + 12].partition(" ")[0]
    numbered = word[:1].isdigit() and len(word) < 7
    return comma + 2 if numbered or word.lower().rstrip(".") in kinds() else 0


def _sentence_ends(bare: str, end: int, word: str) -> bool:
    """Whether the full stop of a word ends the sentence: that of `TP.` does not."""
    if not word.endswith(".") or not bare[end : end + 1].isspace():
        return word.endswith(".") and end == len(bare)
    return len(word) > 2 and word[:-1].lower() not in _SHORTENED


def _belongs(text: str, place: int, word: str, *, small: bool) -> bool:
    if word[0].isupper() or word[0].isdigit():
        return True
    if small:
        return word.lower() not in _CHATTED and text[place : place + 1] != "ạ"
    return word in ("-", "–", "(") or (
        word.partition(".")[0] in _unit_words() and fits_word(text[place : place + len(word)])
    )


def fits_word(word: str) -> bool:
    """Whether the accents are those of a word of addresses: `xã`, and not `xa` with others."""
    said = word.lower().split(".")[0]
    return said.isascii() or said in _accented()


@cache
def _accented() -> frozenset[str]:
    titles = ("fine", "ward", "area", "street", "lanes")
    phrases = [phrase for title in titles for phrase in listed(f"vietnamese {title}")]
    return frozenset(word for phrase in phrases for word in phrase.split(" ")) | {"số"}


@cache
def _unit_words() -> frozenset[str]:
    return frozenset(map(without_accents, _accented()))


def _says_where(text: str, bare: str, start: int, end: int) -> bool:
    """Whether it is more than a lone province, and looks like a place at all."""
    value = bare[start:end]
    pieces = [piece.strip() for piece in re.split(r"[,–]| - ", value) if piece.strip()]
    if not pieces or " " not in value:
        return False
    if any(piece.lower() in known() for piece in pieces[1:]):
        return True
    opened = re.match(r"[A-Za-z]+(?: [A-Za-z]+)?", value)
    unit = opened and next(
        (w for w in (opened[0].lower(), opened[0].lower().split(" ")[0]) if w in kinds()), ""
    )
    if unit and fits(text, start, start + len(unit)) and len(value) > len(unit) + 1:
        return True
    return bool(re.search(r"(?<![\w.])\w{0,2}\d{1,4}(?!\d)", value)) and _has_name(value, pieces)


def _has_name(value: str, pieces: list[str]) -> bool:
    """Whether a number stands before or in names, as a house's does."""
    if value[0].isdigit() and re.match(r"\S+,? [A-Za-z]{2,}", value):
        return True
    return len(pieces) > 1 and re.search(r"[A-Z][a-z]+|[A-Z]{3}", value) is not None
