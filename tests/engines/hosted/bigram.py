"""Small real models for the worker shell: the next byte by the one before it, and bytes counted."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import llguidance
import numpy as np

from noibo.engines.hosted.python_model import Json, Scores, Unreadable

TEXT = (
    "Nội bộ là của nhà. The model reads a text and says what comes next, byte by byte. "
    'Một câu ngắn. {"name": "An", "age": 7} '
)
SIZE, END = 262, 261  # as llguidance counts bytes


class Bytes:
    """A token is a byte."""

    size = SIZE
    ends = frozenset({END})
    silent = frozenset(range(256, SIZE))

    def tokenise(self, text: str, *, special: bool = True, marks: bool = True) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def chat(self, messages: Sequence[Json], tools: Sequence[Json], options: Json) -> str:
        if any("role" not in message for message in messages):
            raise Unreadable("a message has no role.")
        return "".join(f"{one['role']}: {one.get('content') or ''}\n" for one in messages)

    def guide(self) -> Any:
        return llguidance.LLTokenizer("byte")


class Bigram:
    """Log-probabilities of the next byte, counted in a text. `delay_s`: for each token read."""

    context = 512

    def __init__(self, text: str = TEXT, delay_s: float = 0.0, *, forgets: bool = False) -> None:
        self.vocabulary = Bytes()
        counts = np.full((SIZE, SIZE), 1e-6)
        said = text.encode()
        for one, other in itertools.pairwise(said):
            counts[one, other] += 1
        self.table = np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        self.usual: dict[str, float] = {}
        self.read_so_far: list[int] = []
        self.readings = 0
        self._delay_s = delay_s
        self._forgets = forgets

    def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
        time.sleep(self._delay_s * len(tokens))
        self.readings += len(tokens)
        self.read_so_far += tokens
        rows = self.table[list(tokens)]
        return rows if each else rows[-1]

    def cut(self, length: int) -> bool:
        if length and self._forgets:
            return False
        del self.read_so_far[length:]
        return True


class Counted:
    """A vector of how often each byte is there."""

    context = 64

    def __init__(self) -> None:
        self.vocabulary = Bytes()
        self.batches: list[list[int]] = []

    def embed(self, inputs: Sequence[Sequence[int]]) -> Scores:
        self.batches.append([len(one) for one in inputs])
        found = np.array([np.bincount(one, minlength=SIZE) for one in inputs], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)
