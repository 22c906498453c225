"""Vectors for inputs: sorted by length and read side by side, so that little is read in vain."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from noibo.engines.hosted.python_model import Embedder, Json, Scores
from noibo.engines.hosted.reader import Stopped
from noibo.engines.hosted.wanted import Refused

TOKENS: Final = 2048  # that are read side by side at most, so that it can be stopped between
_KNOWN: Final = {"input", "model", "encoding_format", "user", "embd_normalize"}


class Vectors:
    """Answers for a model that embeds."""

    def __init__(self, model: Embedder, tokens: int = TOKENS) -> None:
        self.model = model
        self._tokens = tokens

    def answer(self, asked: Json, stop: threading.Event) -> Json:
        """A body of `/v1/embeddings`, answered. Raises `Refused`, and `Stopped` between batches."""
        if unknown := sorted(asked.keys() - _KNOWN):
            raise Refused(f"{unknown[0]}: this is not done here.", unknown[0])
        if asked.get("embd_normalize", 2) != 2:
            raise Refused("embd_normalize: vectors here have the length 1.", "embd_normalize")
        said = asked.get("input")
        inputs: list[Any] = said if isinstance(said, list) and _several(said) else [said]
        tokens = [self._read(one, number) for number, one in enumerate(inputs)]
        found = np.empty((len(tokens), 0), np.float32)
        for numbers in self._batches(tokens):
            if stop.is_set():
                raise Stopped
            made = self.model.embed([tokens[number] for number in numbers])
            if not found.size:
                found = np.empty((len(tokens), made.shape[1]), np.float32)
            found[numbers] = made
        return _told(found, sum(map(len, tokens)), packed=asked.get("encoding_format") == "base64")

    def _read(self, one: Any, number: int) -> list[int]:
        vocabulary, param = self.model.vocabulary, f"input[{number}]"
        tokens = vocabulary.tokenise(one) if isinstance(one, str) else one
        whole = isinstance(tokens, list) and all(type(token) is int for token in tokens)
        if not whole or not all(0 <= token < vocabulary.size for token in tokens):
            raise Refused(
                f"{param}: a text, or token ids from 0 to {vocabulary.size - 1}.", "input"
            )
        if not tokens:
            raise Refused(f"{param} is empty.", "input")
        if len(tokens) > self.model.context:
            raise Refused(
                f"{param} has {len(tokens)} tokens; an input has {self.model.context} at most.",
                param,
                kind="exceed_context_size_error",
                n_prompt_tokens=len(tokens),
                n_ctx=self.model.context,
            )
        return list(tokens)

    def _batches(self, inputs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Numbers of inputs that are read together: alike in length, and not too many."""
        order = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
        batch: list[int] = []
        for number in order:
            if batch and (len(batch) + 1) * len(inputs[number]) > self._tokens:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch


def _several(said: list[Any]) -> bool:
    """A list of inputs, and not one input of token ids."""
    return not all(type(one) is int for one in said)


def _told(found: Scores, tokens: int, *, packed: bool) -> Json:
    rows: list[Any]
    if packed:
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in found]
    else:
        rows = found.tolist()
    data = [
        {"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "usage": usage}
