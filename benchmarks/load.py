"""A load from a process of its own: streams of chats, counted as they come.

`python -m benchmarks.load '{"url": …, "key": …, "callers": 4, "requests": 8, "tokens": 64}'`
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

import aiohttp

PROMPT = "Question {i}: tell me in a few sentences how a rainbow comes about."


async def one(session: aiohttp.ClientSession, job: dict[str, Any], i: int) -> tuple[float, int]:
    """One stream: seconds to its first token, and its tokens."""
    body = {
        "model": job.get("model", "smollm2:135m"),
        "messages": [{"role": "user", "content": PROMPT.format(i=i)}],
        "max_tokens": job["tokens"],
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "cache_prompt": False,
    }
    began, first, tokens = time.perf_counter(), 0.0, 0
    async with session.post(job["url"] + "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            if b'"content":"' in line:
                first = first or time.perf_counter() - began
                tokens += 1
    return first, tokens


async def main(job: dict[str, Any]) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {job.get('key', 'none')}"}
    queue = iter(range(job["requests"]))
    firsts: list[float] = []
    total = 0

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal total
        for i in queue:
            first, tokens = await one(session, job, i)
            firsts.append(first)
            total += tokens

    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        began = time.perf_counter()
        await asyncio.gather(*(caller(session) for _ in range(job["callers"])))
        took = time.perf_counter() - began
    return {"tokens_per_s": total / took, "first_token_s": statistics.median(firsts)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
