"""Scores of documents for a query, by the worker of a model that ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.engine import Model, Verb
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, NotSupported
from noibo.gateway.embedding import (
    AT_ONCE,
    PIECE,
    TOKENISED_AT_ONCE,
    longest_input,
    surely_within,
    tokens_of,
    too_long,
)
from noibo.gateway.inquiry import Inquiry, Told
from noibo.gateway.side_by_side import side_by_side
from noibo.gateway.watching.record import current
from noibo.wire import rerank
from noibo.wire.rerank import Asked, Score

BETWEEN: Final = 4  # tokens round and between a query and a document


async def rank(inquiry: Inquiry, asked: Asked, told: Told) -> tuple[str, Any]:
    """The name of the model that ranked, and the answer's document."""
    require_ranks(await inquiry.services.resolve(inquiry.model))
    async with inquiry.services.pipeline.worker(inquiry.errand(Verb.EMBED), told) as upstream:
        ranking = _Ranking(upstream, asked)
        await ranking.check_lengths()
        scores = await ranking.scores()
        worker = upstream.worker
        worker.tokens_in += (tokens := sum(one for _, one in scores))
        current().read(tokens)
        worker.prompts += len(asked.documents)
        found = [score for piece, _ in scores for score in piece]
        return worker.model.name, rerank.answer(asked, found, worker.model.name, tokens)


def require_ranks(model: Model) -> None:
    """Raises `NotSupported` for a model whose header does not say that it ranks."""
    if model.info is None or model.info.pooling != "rank":
        raise NotSupported(
            f"{model.name} does not rank documents.",
            next_step="Models that do are rerankers, as bge-reranker-v2-m3 and "
            "jina-reranker-v2: `noibo search rerank`.",
        )


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One request while a worker is held for it."""

    upstream: Upstream
    asked: Asked

    async def check_lengths(self) -> None:
        """A query is read with each document, in one piece."""
        await side_by_side(self._check_length, range(len(self.asked.documents)), TOKENISED_AT_ONCE)

    async def _check_length(self, number: int) -> None:
        query, document = self.asked.query, self.asked.documents[number]
        longest = longest_input(self.upstream.worker)
        if surely_within(query + document, longest):
            return
        both = [await tokens_of(self.upstream, one, special=False) for one in (query, document)]
        tokens = sum(map(len, both)) + BETWEEN
        if tokens > longest:
            name = "texts" if self.asked.as_texts else "documents"
            raise too_long(f"{name}[{number}], with the query,", tokens, self.upstream.worker)

    async def scores(self) -> list[tuple[list[Score], int]]:
        """Scores in pieces, each with the tokens that were read for it."""
        pieces = range(0, len(self.asked.documents), PIECE)
        return await side_by_side(self._ask, pieces, AT_ONCE)

    async def _ask(self, first: int) -> tuple[list[Score], int]:
        documents: Sequence[str] = self.asked.documents[first : first + PIECE]
        question = {**self.asked.more, "query": self.asked.query, "documents": documents}
        found = await self.upstream.ask(Verb.EMBED, "/v1/rerank", question)
        try:
            rows = [(int(one["index"]), float(one["relevance_score"])) for one in found["results"]]
            tokens = int(found["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError) as exc:
            raise EngineError(f"The engine's answer has no scores ({exc!r}).") from exc
        if sorted(index for index, _ in rows) != list(range(len(documents))):
            raise EngineError("The engine has not scored every document once.")
        return [Score(first + index, score) for index, score in rows], tokens
