"""How fast a new worker reads a prompt, measured by one real one.

It proves the build too: one with instructions that this processor lacks dies of it. The question
comes from outside, as a worker is not allowed to connect to anything, itself included.
"""

from __future__ import annotations

import aiohttp

from noibo.errors import EngineError

PATIENCE = aiohttp.ClientTimeout(total=300)


async def measure_prefill(url: str, key: str, tokens: int) -> float:
    """Prompt tokens/s of the llama.cpp server at `url`, over a prompt of so many tokens. Raises
    `EngineError` where it gives no answer: whether it lives is seen by its process."""
    body = {"prompt": [1 + i % 50 for i in range(tokens)], "n_predict": 1, "cache_prompt": False}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE, trust_env=False) as session,
            session.post(
                f"{url}/completion", json=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            response.raise_for_status()
            return float((await response.json())["timings"]["prompt_per_second"])
    except (TimeoutError, aiohttp.ClientError, ConnectionError) as exc:
        said = str(exc) or type(exc).__name__
        raise EngineError(f"The worker did not read its first prompt: {said}.") from exc
    except (KeyError, TypeError, ValueError) as exc:
        raise EngineError(f"The worker did not say how fast it read a prompt ({exc!r}).") from exc
