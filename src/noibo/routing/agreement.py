"""Whether several answers of one model say the same: who is sure says it again.

Worth its cost where an answer is short and could be either right or wrong: a number, a name, a
choice. Of long answers everybody's words differ, and agreement is the words that they share.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from noibo.routing.answer_faults import said

SHORT_WORDS: Final = 12  # an answer of no more can be the same as another
ALIKE: Final = 0.6  # share of words in common from which two long answers say the same
_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"-?\d+(?:[.,]\d+)*")
_FINAL: Final = re.compile(
    r"(?:####|answer(?:\s+is)?\s*[:=]?|đáp án(?:\s+là)?\s*[:=]?|kết quả(?:\s+là)?\s*[:=]?|=)"
    r"\s*\**\s*(-?\d+(?:[.,]\d+)*|\(?[A-E]\)?(?![\w]))",
    re.IGNORECASE,
)


def agreement(answers: Sequence[str]) -> float:
    """The share of the answers that say what the first says, itself among them; 1 for one. Raises
    ValueError for none."""
    if not answers:
        raise ValueError("there are no answers")
    first = gist(answers[0])
    return sum(_same(first, gist(one)) for one in answers) / len(answers)


def gist(answer: str) -> tuple[str, ...]:
    """What an answer comes to: its last number or choice where it says one, else its words."""
    plain = unicodedata.normalize("NFC", said(answer))
    if found := _FINAL.findall(plain):
        return (_plain_number(found[-1].strip("()").casefold()),)
    words = tuple(_WORD.findall(plain.casefold()))
    numbers = _NUMBER.findall(plain)
    if len(words) <= SHORT_WORDS and len(numbers) == 1:
        return (_plain_number(numbers[0]),)
    return words


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if len(one) <= SHORT_WORDS and one == other:
        return True
    both = sum((Counter(one) & Counter(other)).values())
    return bool(both) and 2 * both / (len(one) + len(other)) >= ALIKE


def _plain_number(text: str) -> str:
    return text.replace(",", "").rstrip(".") if text[:1].isdigit() or text[:1] == "-" else text
