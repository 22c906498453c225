"""A real model through noibo against the worker's own port: tokens/s and time to first token.

Aim: at least 0.98 of the worker's tokens/s, for 1 to 16 callers.
"""

from __future__ import annotations

import statistics
from functools import partial

import uvloop

from benchmarks.measuring import in_turn, load_from_outside, ratio, running, settings, table

ROUNDS = 4


async def measure() -> list[dict[str, float]]:
    results = []
    async with running(settings()) as noibo:
        for callers in (1, 4, 8, 16):
            job = {"callers": callers, "requests": max(callers, 2), "tokens": 64}
            through = partial(load_from_outside, url=noibo.url, **job)
            direct = partial(load_from_outside, url=noibo.worker.url, key=noibo.worker.key, **job)
            await through()  # warm
            ours, theirs = await in_turn(through, direct, ROUNDS)
            rate = [[x["tokens_per_s"] for x in side] for side in (ours, theirs)]
            first = [[x["first_token_s"] for x in side] for side in (ours, theirs)]
            middle, low, high = ratio(*rate)
            results.append(
                {
                    "callers": callers,
                    "through_noibo": statistics.median(rate[0]),
                    "worker": statistics.median(rate[1]),
                    "ratio": middle,
                    "ratio_min": low,
                    "ratio_max": high,
                    "first_token_ratio": ratio(*first)[0],
                }
            )
    return results


def run() -> list[dict[str, float]]:
    results = uvloop.run(measure())  # the loop that uvicorn runs noibo on
    table([list(results[0]), *(list(row.values()) for row in results)])
    return results
