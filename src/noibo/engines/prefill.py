"""How fast a new worker reads a prompt, measured by one real one.

It proves the build too: one with instructions that this processor lacks dies of it. The question
comes from outside, as a worker is not allowed to connect to anything, itself included.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from noibo.engines import line
from noibo.errors import EngineError
from noibo.wire.body import UNREADABLE

PATIENCE_S: Final = 300.0


async def measure_prefill(url: str, key: str, tokens: int) -> float:
    """Prompt tokens/s of the llama.cpp server at `url`, over a prompt of so many tokens. Raises
    `EngineError` where it gives no answer: whether it lives is seen by its process."""
    body = {"prompt": [1 + i % 50 for i in range(tokens)], "n_predict": 1, "cache_prompt": False}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = msgspec.json.encode(body)
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            line.Session() as session,
            await session.post(f"{url}/completion", asked, headers) as response,
        ):
            said = await response.read()
            if response.status != 200:
                raise EngineError(f"The worker answered {response.status} to its first prompt.")
            return float(msgspec.json.decode(said)["timings"]["prompt_per_second"])
    except (TimeoutError, ConnectionError) as exc:
        why = str(exc) or type(exc).__name__
        raise EngineError(f"The worker did not read its first prompt: {why}.") from exc
    except (*UNREADABLE, KeyError, TypeError, ValueError) as exc:
        raise EngineError(f"The worker did not say how fast it read a prompt ({exc!r}).") from exc
