"""How fast a hang-up frees the slot, by the engine's own word.

Aim: within 200 ms while decoding; in prefill within the running batch, which is sized under a
second. The floor is the time of one token (decoding) and of one batch (prefill), as measured on the
same worker in the same run.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from urllib.parse import urlsplit

from benchmarks.measuring import MODEL, Running, running, settings, table
from noibo.engines.upstream import Upstream

ROUNDS = 7
LONG = "The sky is blue and the grass is green. " * 120


async def hang_up(noibo: Running, prompt: str, wait: float, *, stream: bool) -> float:
    """Seconds from closing the connection until no slot works."""
    address = urlsplit(noibo.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    body = {"model": MODEL, "prompt": prompt, "max_tokens": 2000, "ignore_eos": True}
    payload = json.dumps(body | {"stream": stream}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {len(payload)}\r\n\r\n"
    writer.write(head.encode() + payload)
    await writer.drain()
    await asyncio.sleep(wait)
    upstream = Upstream(noibo.worker, noibo.services.pipeline.session)
    assert noibo.worker.leases == 1
    writer.close()
    began = time.perf_counter()
    while noibo.worker.leases or await upstream.busy_slots() != 0:
        await asyncio.sleep(0.002)
    return time.perf_counter() - began


async def batch_seconds(noibo: Running) -> float:
    """Time of one batch of prompt tokens, from the engine's own timings."""
    upstream = Upstream(noibo.worker, noibo.services.pipeline.session)
    import msgspec

    fields = {
        name: msgspec.Raw(json.dumps(value).encode())
        for name, value in {"prompt": LONG, "max_tokens": 1, "cache_prompt": False}.items()
    }
    async with upstream.generate("/v1/completions", fields) as response:
        timings = (await response.json())["timings"]
    return float(noibo.worker.launch.placement["batch"] / timings["prompt_per_second"])


async def measure() -> dict[str, object]:
    results: dict[str, object] = {}
    async with running(settings()) as noibo:
        batch = await batch_seconds(noibo)
        for name, prompt, wait in (("decode", "Once", 1.0), ("prefill", LONG, batch * 1.5)):
            for stream in (True, False):
                took = [
                    await hang_up(noibo, f"{i}{stream} {prompt}", wait, stream=stream)
                    for i in range(ROUNDS)
                ]
                key = f"{name}, {'streamed' if stream else 'whole'}"
                results[key] = {
                    "median_ms": statistics.median(took) * 1000,
                    "max_ms": max(took) * 1000,
                }
        results["batch"] = {"median_ms": batch * 1000, "max_ms": batch * 1000}
    return results


def run() -> dict[str, object]:
    results = asyncio.run(measure())
    rows = [[name, *figures.values()] for name, figures in results.items()]  # type: ignore[attr-defined]
    table([["hang-up while", "median ms", "max ms"], *rows])
    return results
