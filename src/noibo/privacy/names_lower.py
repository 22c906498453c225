"""Names typed in lower case: `chị lan ơi`, `toi ten la nguyen van an`, `my name is eva kleist`.

Without capitals most syllables of names are plain words, so each needs something that calls for a
name: an honorific with a given name that is hardly ever a word after one, a surname with middle and
given name, or a given name and a surname of which neither is a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from noibo.privacy.folding import bare
from noibo.privacy.names_context import before
from noibo.privacy.names_lexicon import (
    COMMON,
    FUNCTION,
    GIVEN,
    GIVEN_VI,
    OTHER_VIETNAMESE,
    SURNAME,
    SURNAME_VI,
    compounds,
    historic,
    kinds,
    named,
    places,
    words,
)
from noibo.privacy.vocabulary import within

_VOCATIVES: Final = frozenset(("ơi", "oi", "à", "ạ", "nhé", "nha", "ui", "nè", "này"))
_MIDDLES: Final = frozenset(("thị", "thi", "văn", "van"))
_CERTAIN: Final = frozenset(("nguyễn", "nguyen", "phạm", "pham", "huỳnh", "huynh"))
# Parts of names that are plain words too, in English or without their accents.
_PLAIN: Final = frozenset(("an", "my", "do", "bao"))
_BOUNDS: Final = frozenset(("", *"\n\t,;:|/\"'()[]<>@.!?=-–"))
# What before a name in full calls for it, also without capitals.
_CALLING: Final = frozenset(
    ("l:label", "l:client", "l:intro", "l:role", "l:greeting", "l:honorific", "l:verb")
)
# What calls for a name, by what is in it: where that is nowhere, the rest is not looked for.
_CUES: Final = {
    "ame": ("name is ", "name's ", "ame: ", "named "),
    "me ": ("call me ", "calls me "),
    " am ": ("I am ", "i am "),
    "'m ": ("I'm ", "i'm "),
    "tên": ("tên là ", "tên ", "họ tên: "),
    "ten": ("ten la ", "ho ten: ", "ho ten "),
    "tk ": ("ctk ", "chủ tk ", "chu tk "),
    " là ": ("tôi là ", "mình là ", "em là "),
    "toi la ": ("toi la ",),
}
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_LONGEST: Final = 5
_LONGEST_VIETNAMESE: Final = 4
_STREET: Final = re.compile(
    r"(?:\d|đường|duong|phố|pho|ngõ|ngo|hẻm|hem|phường|phuong|xã|xa|quận|quan|trường|truong)[ ,]*$"
)


def lower_names(text: str) -> Iterator[tuple[int, int]]:
    """Where names in lower case stand."""
    pieces = text.split()
    triggers = _triggers()
    heads: list[int] = []
    if not triggers.isdisjoint(pieces):
        heads = [at for at, piece in enumerate(pieces) if piece in triggers]
    place, done = 0, 0
    for at in heads:
        # The words between were only counted: look for this one from where the last one was.
        place = _find(text, pieces[at], place)
        if place < done:
            continue
        found = _from(text, place)
        if found:
            yield found
            done = found[1]
        place += 1
    yield from _after_cues(text)


def _find(text: str, word: str, place: int) -> int:
    """The next place where `word` stands between blanks."""
    size = len(word)
    while True:
        place = text.index(word, place)
        alone = place == 0 or text[place - 1].isspace()
        if alone and (place + size == len(text) or text[place + size].isspace()):
            return place
        place += 1


@cache
def _triggers() -> frozenset[str]:
    syllables = words("vietnamese_given.txt") | words("vietnamese_surnames.txt")
    plain = words("given_names.txt") - words("english_words.txt") - places() - named("function")
    foreign = {word for word in plain - syllables if len(word) > 3}
    return frozenset(named("lower honorifics") | named("lower surnames") | foreign)


def _words_from(text: str, place: int, count: int) -> list[tuple[int, int]]:
    """Up to `count` words from `place` on that are apart by single blanks, and initials."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        word = _WORD.match(text, place)
        if not word or text[word.end() : word.end() + 1] in ("@", "_"):
            break
        found.append(word.span())
        place = word.end()
        if place - word.start() == 1 and text.startswith(".", place):
            place += 1
        if not text.startswith(" ", place):
            break
        place += 1
    return found


def _from(text: str, place: int) -> tuple[int, int] | None:
    """The name that the word at `place` begins or calls for."""
    spans = _words_from(text, place, _LONGEST + 1)
    said = [text[start:end] for start, end in spans]
    if not said or (said[:2] == ["chi", "minh"] and text[max(0, place - 3) : place] == "ho "):
        return None  # the city
    if said[0] in named("lower honorifics") and len(said) > 1:
        whole = None
        if said[1] in named("lower surnames"):
            whole = _vietnamese(text, spans[1:], said[1:], called=True)
        return whole or (spans[1] if _is_called(said) else None)
    if said[0] in named("lower surnames"):
        return _vietnamese(text, spans, said)
    return _foreign(spans, said)


def _is_called(said: list[str]) -> bool:
    """`chị lan ơi`, `anh tuấn`; but not `anh em`, nor `chị hương dẫn` and the like."""
    name, following = said[1], said[2] if len(said) > 2 else ""
    if not kinds[name] & GIVEN_VI or name in named("lower honorifics"):
        return False
    if following in _VOCATIVES and not kinds[name] & FUNCTION and name not in named("lower verbs"):
        return True
    if f"{said[0]} {name}" in compounds():
        return False
    if name not in named("lower given") or (following and f"{name} {following}" in compounds()):
        return False
    return not (following and kinds[following] & GIVEN_VI and following in named("lower given"))


def _vietnamese(
    text: str, spans: list[tuple[int, int]], said: list[str], *, called: bool = False
) -> tuple[int, int] | None:
    """`le thi hong gam`, `nguyen van an`: a surname and two or more syllables of names. `called`:
    an honorific stands before it."""
    count = 1
    for word in said[1:_LONGEST_VIETNAMESE]:
        if not kinds[word] & GIVEN_VI or not word.islower():
            break
        if count > 1 and word not in _PLAIN and (kinds[word] & FUNCTION or word in _VOCATIVES):
            break
        count += 1
    if count < 3 or " ".join(said[:2]) in compounds() or " ".join(said[:count]) in historic():
        return None
    start = spans[0][0]
    left = text[max(0, start - 14) : start].lower()
    if _STREET.search(left) or f"{left.strip().rpartition(' ')[2]} {said[0]}" in compounds():
        return None
    end = spans[count - 1][1]
    middle = said[1] in _MIDDLES and said[0] != "do"  # đồ thị, đô thị
    if said[0] in _CERTAIN or (middle and " ".join(said[1:3]) not in compounds()):
        return start, end
    if not _flows(said, count):
        return None
    # What fills a cell, and, with its accents, what begins a sentence.
    begins = (text[max(0, start - 8) : start].rstrip(" ")[-1:] or "\n") in _BOUNDS
    alone = begins and (text[end : end + 1] in _BOUNDS or not text[start:end].isascii())
    calls = called or alone or not _CALLING.isdisjoint(before(text, start))
    return (start, end) if calls else None


def _flows(said: list[str], count: int) -> bool:
    """Whether no two neighbours of a name, nor its last with what follows, are a word."""
    return compounds().isdisjoint(map(" ".join, pairwise(said[: count + 1])))


def _foreign(spans: list[tuple[int, int]], said: list[str]) -> tuple[int, int] | None:
    """`eva kleist`, `codey m ross`: a given name and a surname that are no words."""
    if len(said) > 2 and len(said[1]) == 1:
        spans, said = [spans[0], *spans[2:]], [said[0], *said[2:]]
    if len(said) < 2:
        return None
    kind = kinds[said[1]]
    if len(said[1]) < 4 or not kind & SURNAME or kind & (COMMON | GIVEN_VI | FUNCTION):
        return None
    return spans[0][0], spans[1][1]


def _after_cues(text: str) -> Iterator[tuple[int, int]]:
    """What follows `name is`, `tên là`, `ctk`."""
    seen: set[int] = set()
    for cue in within(text, _CUES):
        place = text.find(cue)
        while place >= 0:
            inside = cue[0] != "a" and text[place - 1 : place].isalpha()
            name = None if inside else _cued(text, place + len(cue))
            if name and name[0] not in seen:
                seen.add(name[0])
                yield name
            place = text.find(cue, place + 1)


def _cued(text: str, place: int) -> tuple[int, int] | None:
    """The name in lower case that begins at `place`, after up to eight blanks."""
    while text.startswith((" ", "\t"), place):
        place += 1
    count = 0
    spans = _words_from(text, place, _LONGEST)
    for start, end in spans:
        word = text[start:end]
        if not word.islower() or not _could_be(word, first=count == 0) or word in _VOCATIVES:
            break
        count += 1
    if count and _is_name([text[start:end] for start, end in spans[:count]]):
        return spans[0][0], spans[count - 1][1]
    return None


def _could_be(word: str, *, first: bool) -> bool:
    kind = kinds[word]
    if kind & (FUNCTION | OTHER_VIETNAMESE):
        return False
    if kind & COMMON:
        return not first and bool(kind & GIVEN_VI)
    return bool(kind & (GIVEN | SURNAME | GIVEN_VI)) or len(word) > 3


def _is_name(said: list[str]) -> bool:
    kind = kinds[said[0]]
    if len(said) == 1:
        return bool(kind & (GIVEN | SURNAME)) and not kind & (GIVEN_VI | COMMON)
    return bool(kind & (SURNAME_VI | GIVEN)) and bare(" ".join(said)) not in places()
