"""Prompts of a set length that no cache has seen before.

Plain words, nearly all of them one token in the vocabularies of today; how many words make the
wanted tokens is found by asking a server how many it counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LIST: Final = """
time year people way day man thing woman life child world school state family student group
country problem hand part place case week company system program question work government
number night point home water room mother area money story fact month lot right study book
eye job word business issue side kind head house service friend father power hour game line
end member law car city community name president team minute idea kid body information back
parent face others level office door health person art war history party result change
morning reason research girl guy moment air teacher force education foot boy age policy
music plan paper tree river light stone field garden summer winter bread table window road
market island mountain forest bridge
"""
WORDS: Final = tuple(_LIST.split())
ASKED: Final = "Write a long story with these words:"
USUAL_TOKENS: Final = 1.1  # of a word, where nobody says how many it counted
_SHORT, _LONG = 16, 96  # words of the two prompts that a server's count is measured by
# Tokens of a word in any vocabulary, bytes among them; who counts otherwise does not count these.
_LEAST, _MOST = 0.5, 16.0


@dataclass(frozen=True, slots=True)
class Measure:
    """How many tokens a prompt has: `extra`, and for each word `each`. `known`: a server said."""

    extra: float = 16.0
    each: float = USUAL_TOKENS
    known: bool = False

    @classmethod
    def of(cls, short: int | None, long: int | None) -> Measure:
        """From the tokens that were counted in the two `probes`."""
        if short is None or long is None:
            return cls()
        each = (long - short) / (_LONG - _SHORT)
        if not _LEAST <= each <= _MOST:
            return cls()
        return cls(short - each * _SHORT, each, known=True)

    def words(self, tokens: int) -> int:
        """How many words a prompt of so many tokens has: one at least."""
        return max(1, round((tokens - self.extra) / self.each))


def probes(seed: int, asker: str) -> tuple[str, str]:
    """Two prompts of different length, to learn a `Measure` by."""
    return (
        prompt(_SHORT, 0, f"{seed}/{asker}/short", asker),
        prompt(_LONG, 0, f"{seed}/{asker}/long", asker),
    )


def prompt(words: int, shared: int, which: str, asker: str) -> str:
    """A prompt of so many words, the same each time for the same `which`: the first `shared` are
    in every prompt, the next two differ by who is asked, so that two ways to one server do not help
    each other by its cache, and the rest is the same for all."""
    same = _words(min(shared, words), "shared")
    own = _words(max(0, min(2, words - len(same))), f"{which}/{asker}")
    rest = _words(max(0, words - len(same) - len(own)), which)
    return " ".join([*same, *own, *rest, "\n", ASKED] if shared else [*own, *rest, "\n", ASKED])


def _words(many: int, seed: str) -> Sequence[str]:
    return random.Random(seed).choices(WORDS, k=many) if many else []  # noqa: S311 - no secret
