"""What OpenRouter is told besides what any server of OpenAI's protocol is told."""

from __future__ import annotations

from typing import Final

HOST: Final = "openrouter.ai"
KEEPS_NOTHING: Final = {"data_collection": "deny"}  # into `provider`


def is_openrouter(host: str) -> bool:
    """Whether a server is OpenRouter's by its name."""
    host = host.lower()
    return host == HOST or host.endswith("." + HOST)
