"""OpenAI's responses."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["openai"])
