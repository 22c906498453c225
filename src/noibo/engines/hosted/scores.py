"""`POST /score`: log-probabilities of given texts, by the model that writes, in its thread.

What is asked and told is as in `llama_cpp.score_process`, and so is how texts are read; here each
request begins with what the model happens to have read before."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
from aiohttp import web

from noibo.engines.hosted.python_model import Scores, Vocabulary
from noibo.engines.hosted.reader import Reader
from noibo.engines.llama_cpp.model import DecodeFailed, LlamaModel, Token
from noibo.engines.llama_cpp.score import Scorer
from noibo.engines.llama_cpp.score_process import Job, ScoreServer


class _Words:
    """The vocabulary in the scorer's words."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.size = vocabulary.size
        self.tokenise = vocabulary.tokenise
        self.piece = vocabulary.piece

    def ends(self, token: int) -> bool:
        """True of one that ends an answer."""
        return token in self._vocabulary.ends


class _Read:
    """A reader in the scorer's words: one sequence, read in batches."""

    sequences = 2  # one text at a time: none branches off

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.vocabulary = _Words(reader.model.vocabulary)
        self.batch = reader.batch
        self.context_length = reader.model.context

    def read(self, tokens: Sequence[Token]) -> Scores:
        """Scores after each of them. Raises `DecodeFailed`."""
        self._reader.keep(tokens[0].position)
        try:
            scores = self._reader.read([token.id for token in tokens], each=True)
        except Exception as exc:  # whatever the library raises; the log gets all of it
            traceback.print_exception(exc)
            raise DecodeFailed(str(exc)) from exc
        return np.ascontiguousarray(scores, np.float32)

    def cut(self, sequence: int, length: int) -> bool:
        """Keep so many tokens; False where only none can be kept."""
        return self._reader.keep(length) == length

    def clear(self) -> None:
        """Forget all."""
        self._reader.keep(0)


class HostedScores(ScoreServer):
    """Scores texts beside what else the model does."""

    library = "The model's library"

    def __init__(self, reader: Reader, key: str, thread: ThreadPoolExecutor) -> None:
        super().__init__(cast(LlamaModel, _Read(reader)), key, thread)

    def add_to(self, app: web.Application) -> None:
        """Its route."""
        app.router.add_post("/score", self._score)

    def working(self) -> int:
        """How many requests are under way."""
        return self._busy

    def _lines(self, job: Job) -> Generator[bytes, None, None]:
        self._scorer = Scorer(self._model)  # chats came between: what was read is another text
        yield from super()._lines(job)
