"""OpenAI's embeddings, and reranking."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["openai"])
