"""Phrases of many languages found in one pass over a text, whatever its diacritics and endings.

A phrase is words, folded: without case and diacritics, so that "tại sao" and "tai sao" are one. A
last letter `*` stands for any ending ("compar*"), a first `^` for the beginning of a sentence.
Languages that are written without spaces are looked for by their letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+|[.!?;:\n]")
# Thai, kana, Han and Hangul: words have no spaces, or endings that are written on.
UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LEAST_STEM: Final = 3


def _plain_letters() -> dict[int, str | None]:
    """Latin letters with marks → those without; marks that stand alone → nothing."""
    table: dict[int, str | None] = dict.fromkeys(range(0x300, 0x370))
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii():
            table[code] = base
    return table | {ord("đ"): "d", ord("Đ"): "D", ord("ß"): "ss", ord("ł"): "l", ord("ø"): "o"}


_PLAIN: Final = _plain_letters()


def fold(text: str) -> str:
    """Without case and diacritics; other scripts keep their letters."""
    return text.lower() if text.isascii() else text.translate(_PLAIN).lower()


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, folded, and which of them begin a sentence."""

    words: tuple[str, ...]
    first: frozenset[int]
    text: str = ""  # folded, where it has letters of languages without spaces

    @classmethod
    def of(cls, text: str) -> Words:
        """Of any text."""
        folded = fold(text)
        words: list[str] = []
        first = {0}
        for piece in _WORD.findall(folded):
            if piece in ".!?;:\n":
                first.add(len(words))
            else:
                words.append(piece)
        return cls(tuple(words), frozenset(first), folded if UNSPACED.search(folded) else "")

    def __len__(self) -> int:
        """In words; of languages without spaces two letters count as one."""
        return len(self.words) + sum(len(UNSPACED.findall(one)) // 2 for one in self._unspaced())

    def _unspaced(self) -> Iterable[str]:
        return (self.text,) if self.text else ()


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    phrase: str
    rest: tuple[str, ...]
    at_start: bool


class Phrases:
    """Many phrases, each with the name of what it stands for. Made once."""

    def __init__(self, phrases: Mapping[str, Iterable[str]]) -> None:
        self._whole: dict[str, list[_Entry]] = {}
        self._stems: dict[str, list[_Entry]] = {}
        self._letters: list[tuple[str, str]] = []
        for name, several in phrases.items():
            for phrase in several:
                self._add(name, phrase.strip())
        self._stem_lengths = sorted({len(stem) for stem in self._stems})

    def _add(self, name: str, phrase: str) -> None:
        folded = fold(phrase)
        if UNSPACED.search(folded):
            self._letters.append((folded, name))
            return
        head, *rest = folded.lstrip("^").split()
        entry = _Entry(name, folded.strip("^*"), tuple(rest), folded.startswith("^"))
        if head.endswith("*"):
            self._stems.setdefault(head[:-1], []).append(entry)
        else:
            self._whole.setdefault(head, []).append(entry)

    def find(self, text: Words) -> dict[str, set[str]]:
        """name → the phrases of it that are in the text."""
        found: dict[str, set[str]] = {}
        known: dict[str, list[_Entry]] = {}
        words = text.words
        for place, word in enumerate(words):
            entries = known.get(word)
            if entries is None:
                entries = known[word] = self._beginning(word)
            for entry in entries:
                if (place in text.first or not entry.at_start) and _goes_on(entry, words, place):
                    found.setdefault(entry.name, set()).add(entry.phrase)
        if text.text:
            for letters, name in self._letters:
                if letters in text.text:
                    found.setdefault(name, set()).add(letters)
        return found

    def _beginning(self, word: str) -> list[_Entry]:
        """The phrases that a word can begin."""
        entries = list(self._whole.get(word, ()))
        for length in self._stem_lengths:
            if length > len(word):
                break
            entries += self._stems.get(word[:length], ())
        return entries


def _goes_on(entry: _Entry, words: tuple[str, ...], place: int) -> bool:
    rest = entry.rest
    if not rest:
        return True
    if place + len(rest) >= len(words):
        return False
    return all(
        word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted
        for wanted, word in zip(rest, words[place + 1 :], strict=False)
    )
