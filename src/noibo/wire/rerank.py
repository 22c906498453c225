"""Reranking on the wire: Jina's shape, as llama-server has it, and that of
text-embeddings-inference, which sends `texts` for documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, Json, field

MOST_DOCUMENTS: Final = 2048
_READ: Final = (
    "model",
    "query",
    "documents",
    "texts",
    "top_n",
    "return_documents",
    "return_text",
    "user",
    "keep_alive",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, parsed once. `as_texts`: in the shape of text-embeddings-inference. `more` are
    fields that only the engine knows."""

    query: str
    documents: list[str]
    top_n: int
    with_documents: bool
    as_texts: bool
    more: Fields


@dataclass(frozen=True, slots=True)
class Score:
    """How well one document answers the query."""

    index: int
    score: float


def parse(fields: Fields) -> Asked:
    """Raises `InvalidRequest`."""
    as_texts = "texts" in fields
    documents = _documents(fields, "texts" if as_texts else "documents")
    query = field(fields, "query", str)
    if not query:
        raise InvalidRequest("query is missing or empty.", param="query")
    top_n = field(fields, "top_n", int, len(documents))
    if top_n < 1:
        raise InvalidRequest(f"top_n: {top_n} is less than 1.", param="top_n")
    field(fields, "user", str)
    shown = field(fields, "return_text" if as_texts else "return_documents", bool, False)
    more = {name: value for name, value in fields.items() if name not in _READ}
    return Asked(query, documents, top_n, shown, as_texts, more)


def _documents(fields: Fields, name: str) -> list[str]:
    said = field(fields, name, list[str | dict[str, Any]])
    if not said or len(said) > MOST_DOCUMENTS:
        raise InvalidRequest(
            f"{name} must be a list of 1 to {MOST_DOCUMENTS} texts.",
            param=name,
            next_step="Send more of them in several requests." if said else "",
        )
    texts = []
    for number, one in enumerate(said):
        text = one.get("text") if isinstance(one, dict) else one
        if not isinstance(text, str) or not text:
            raise InvalidRequest(f"{name}[{number}] has no text.", param=name)
        texts.append(text)
    return texts


def answer(asked: Asked, scores: Sequence[Score], model: str, prompt_tokens: int) -> Any:
    """The best first, as many as were asked for."""
    best = sorted(scores, key=lambda one: (-one.score, one.index))[: asked.top_n]
    if asked.as_texts:
        return [_row(asked, one, "score", "text") for one in best]
    return {
        "model": model,
        "object": "list",
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
        "results": [_row(asked, one, "relevance_score", "document") for one in best],
    }


def _row(asked: Asked, one: Score, score: str, shown: str) -> Json:
    row: Json = {"index": one.index, score: one.score}
    if asked.with_documents:
        text = asked.documents[one.index]
        row[shown] = text if asked.as_texts else {"text": text}
    return row
