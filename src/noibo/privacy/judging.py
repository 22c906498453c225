"""Looking through every text of a body, and judging it by what is found.

Whatever fails on the way (the detector raises, finds what is not there, takes too long, is missing)
makes the label `unknown`, which no rule lets out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from noibo.privacy.fields import texts
from noibo.privacy.judgement import DETECTOR, FAULT, UNSCANNED, Found, Judgement, Reason
from noibo.privacy.policy import Policy
from noibo.privacy.sensitivity import UNKNOWN
from noibo.privacy.span import Span
from noibo.privacy.spans import disjoint, is_sound, shifted
from noibo.privacy.unescaped import Unescaped, layers
from noibo.privacy.walk import Piece

Find = Callable[[str], Sequence[Span]]
ANSWER: Final = 40  # characters
_DIGIT: Final = re.compile(r"\d")
_OF_A_NUMBER: Final = re.compile(r"[\d@]")
_JOINS: Final = re.compile(r"[\w@+-]{2}")
_HALF: Final = 200  # characters in which the second half of a value stands
_WORDS: Final = frozenset({"PERSON", "ADDRESS"})  # found by their sentence: two make another one


class Undetected(Exception):
    """A text could not be looked through. `args[0]` says why, without a word of the text."""


def never() -> bool:
    """There is time."""
    return False


def judged(
    policy: Policy,
    fields: Mapping[str, Any],
    find: Find | None,
    said: Iterable[Reason] = (),
    late: Callable[[], bool] = never,
) -> Judgement:
    """Of a body, of a request or an answer. `find` is the detector; None where there is none.
    `late` is asked before each text whether it has taken too long. Raises nothing."""
    spoken = Judgement.of(policy, said)
    try:
        seen = texts(fields)
        if not policy.detects:
            return spoken.joined(Judgement(policy, (), ("everything",)))
        found = scanned(seen.pieces, find, late)
    except Undetected as failed:
        return spoken.joined(undetected(policy, str(failed)))
    except Exception as failed:  # noqa: BLE001 - whatever it is: what nobody has judged stays
        return spoken.joined(undetected(policy, type(failed).__name__))
    judgement = spoken.joined(_detected(policy, found))
    return judgement.joined(_unscanned(policy, seen.unread)) if seen.unread else judgement


def undetected(policy: Policy, why: str) -> Judgement:
    """Of what nobody could look through: it stays."""
    return Judgement(policy, (Reason(FAULT, UNKNOWN, why),))


def answered(asked: Judgement, answer: Mapping[str, Any], find: Find | None) -> Judgement:
    """Of an answer, whole or as far as it came, in whichever API's shape: at least what it was made
    from, and what is found in it. So it is stored, and so it goes on as history."""
    said = [asked.carried("request")]
    return judged(asked.policy, answer, find, said).joined(asked)


def scanned(pieces: Iterable[Piece], find: Find | None, late: Callable[[], bool] = never) -> Found:
    """What is found in each text. Raises `Undetected`."""
    if find is None:
        raise Undetected("there is no detector")
    found: dict[tuple[str, ...], tuple[Span, ...]] = {}
    for piece in pieces:
        if piece.key in found:
            continue
        if late():
            raise Undetected("the detector took too long")
        found[piece.key] = tuple(scan(piece, find))
    return found


def scan(piece: Piece, find: Find) -> list[Span]:
    """What is found in one text: by itself, and read after what stands before it, which may tell
    what a number is. Raises `Undetected`."""
    text, before = piece.text, piece.context
    spans = _read(text, find)
    if before and (len(text) <= ANSWER or _DIGIT.search(text)):
        told = shifted(_read(before + text, find), len(before))
        spans = disjoint([*spans, *(one for one in told if _hangs_on_it(text, one))])
    for end in piece.ends:
        if _goes_on(end, text):
            spans = disjoint([*spans, *_across(end, text, find)])
    return spans


def _goes_on(end: str, text: str) -> bool:
    """The last word of a text and the first of the next may be one, and no word of the language."""
    last, first = end.split()[-1:], text.split(maxsplit=1)[:1]
    if not last or not first or not _JOINS.fullmatch(last[0][-1] + first[0][0]):
        return False
    return bool(_OF_A_NUMBER.search(last[0] + first[0]))


def _across(end: str, text: str, find: Find) -> Iterator[Span]:
    """The second half of a number, an address or a key that two texts have in two halves. Without
    it the first says little; what is found there by itself is whole."""
    end, begin = end.rstrip(), text[:_HALF].lstrip()
    blank = len(text) - len(text.lstrip())
    if any(one.end == len(end) for one in _read(end, find)):
        return
    for before in (end, f"{end} "):
        for one in _read(before + begin, find):
            if one.start < len(end) and one.end > len(before) and one.label not in _WORDS:
                stop = one.end - len(before) + blank
                yield Span(blank, stop, one.label, one.score, one.finder)


def _hangs_on_it(text: str, span: Span) -> bool:
    """What stands before a text says what its numbers are, and what it is itself, where it is no
    more than an answer. Words in the middle of a sentence have their own neighbours."""
    return len(text) <= ANSWER or bool(_DIGIT.search(text, span.start, span.end))


def _found(text: str, find: Find) -> list[Span]:
    try:
        spans = list(find(text))
        sound = is_sound(spans, len(text))
    except Exception as failed:  # noqa: BLE001 - it is somebody's own, perhaps
        raise Undetected(f"the detector failed: {type(failed).__name__}") from None
    if not sound:
        raise Undetected("the detector found what is not there")
    return disjoint(spans)


def _read(text: str, find: Find) -> list[Span]:
    """What is found in a text as it is written, and as it reads."""
    spans = _found(text, find)
    above: list[Unescaped] = []
    for plain in layers(text):
        above.append(plain)
        found = _found(plain.text, find)
        for one in reversed(above):
            found = [one.back(span) for span in found]
        spans += found
    return disjoint(spans) if above else spans


def _detected(policy: Policy, found: Found) -> Judgement:
    """What the findings say; nothing where there are none that raise anything."""
    counts = Counter(span.label for spans in found.values() for span in spans)
    by_label: dict[str, list[str]] = {}
    for kind, count in sorted(counts.items()):
        by_label.setdefault(policy.label_of(kind), []).append(f"{kind} {count}")
    reasons = [Reason(DETECTOR, label, ", ".join(kinds)) for label, kinds in by_label.items()]
    return Judgement(policy, tuple(reasons), (), found)


def _unscanned(policy: Policy, places: tuple[str, ...]) -> Judgement:
    why = f"{len(places)} that cannot be looked into"
    return Judgement(policy, (Reason(UNSCANNED, policy.unscanned, why),), places)
