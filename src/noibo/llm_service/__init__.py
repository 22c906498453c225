"""A model in a program of one's own: no server, no network.

    from noibo.llm_service import llm_service

    await llm_service.load_model()
    answer = llm_service.generate_answer("Trí tuệ nhân tạo là gì?", context)

Importing this reads and starts nothing. `llm_service` is one service for the whole program, by what
the environment and noibo.toml say when it is first used; `LLMService(model_path=…)` makes others.
"""

from __future__ import annotations

from noibo.llm_service.answer import Answer, Taken
from noibo.llm_service.service import LLMService

__all__ = ["Answer", "LLMService", "Taken", "llm_service"]

llm_service = LLMService()
