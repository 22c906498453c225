"""What the worker shell wants of an engine that is a Python library.

The shell reads, draws tokens, keeps to forms, stops and streams, the same for every engine; an
engine tells scores of tokens, and knows its vocabulary. All of it is called from one thread, but
for `Vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Json = dict[str, Any]


class Unreadable(Exception):
    """A chat that the template does not take. The text is for callers."""


class Vocabulary(Protocol):
    """Text to tokens and back. From any thread."""

    @property
    def size(self) -> int:
        """How many tokens the model gives scores of."""

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""

    @property
    def silent(self) -> frozenset[int]:
        """Tokens that say nothing to a reader: of the model's own frame."""

    def tokenise(self, text: str, *, special: bool = True, marks: bool = True) -> list[int]:
        """Token ids. `special`: with those that the model wants round a text; `marks`: what looks
        like a special token is one."""

    def piece(self, token: int) -> bytes:
        """What a token says: perhaps part of a character."""

    def chat(self, messages: Sequence[Json], tools: Sequence[Json], options: Json) -> str:
        """The text of a chat by the model's template, to go on from. Raises `Unreadable`."""

    def guide(self) -> Any:
        """The vocabulary as `llguidance.LLTokenizer`."""


class Writer(Protocol):
    """A model that says what comes next. It keeps the state of one text that it has read."""

    context: int  # tokens of a text
    usual: Mapping[str, float]  # how its makers draw tokens: temperature, top_p, top_k

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""

    def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
        """Read on; the scores of what comes after the last token, as one row, or after `each`."""

    def cut(self, length: int) -> bool:
        """Forget all but the first `length` tokens. False where that cannot be done but for 0."""


class Embedder(Protocol):
    """A model that gives vectors."""

    context: int  # tokens of an input

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""

    def embed(self, inputs: Sequence[Sequence[int]]) -> Scores:
        """A vector of length 1 for each input, read side by side: of similar length, best."""
