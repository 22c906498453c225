"""What noibo costs in front of a server of models: against a bare relay, and LiteLLM's proxy.

All stand in front of one fake upstream that answers at once, and are asked in turn, round by round.
Aims: half of the floor's throughput, 0.8 ms at the median, 30 × LiteLLM, 150 MB, ready in 2 s.

`python -m benchmarks.gateway --seconds 1 --rounds 1 --without litellm` is a short look.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import contenders, wrk
from benchmarks.contenders import CHAT, PATH, Contender
from benchmarks.measuring import keep, ratio, table
from benchmarks.wrk import Found

CALLERS = (1, 8, 32)
KINDS = {"whole": CHAT, "stream": CHAT | {"stream": True}}
SECONDS, ROUNDS = 4.0, 5
LONGEST_S = 120.0
Rounds = dict[tuple[str, str, int], list[Found]]


async def measure(running: Sequence[Contender], seconds: float, rounds: int) -> Rounds:
    """A B C A B C …: what drifts on the machine drifts for all."""
    found: Rounds = {}
    for one in running:
        for body in KINDS.values():
            await _asked(one, body, 8, 1.0)  # warm
    for _ in range(rounds):
        for kind, body in KINDS.items():
            for callers in CALLERS:
                for one in running:
                    got = await _asked(one, body, callers, seconds)
                    found.setdefault((one.name, kind, callers), []).append(got)
    return found


async def _asked(one: Contender, body: dict[str, Any], callers: int, seconds: float) -> Found:
    """For so long, or as long as it takes to answer each caller twice: LiteLLM is slow at streams,
    and what it has not ended does not count."""
    while seconds < LONGEST_S:
        found = await wrk.run(one.url + PATH, one.key, body, callers, seconds)
        if found.answers >= 2 * callers:
            return found
        seconds *= 2
    raise SystemExit(f"{one.name} does not answer {callers} callers in {seconds:g} s.")


def rows(found: Rounds, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each contender, kind and number of callers: medians, and how it stands to the others.
    What it adds to the median time is against the upstream alone."""
    made = []
    for kind in KINDS:
        for callers in CALLERS:
            for name in names:
                ours = found[name, kind, callers]
                row: dict[str, Any] = {"kind": kind, "callers": callers, "name": name}
                row |= {key: _middle(ours, key) for key in ("per_s", "p50_ms", "p99_ms")}
                alone = found["upstream", kind, callers]
                row["adds_ms"] = statistics.median(
                    a.p50_ms - b.p50_ms for a, b in zip(ours, alone, strict=True)
                )
                for other in ("floor", "litellm"):
                    if other in names and name != other:
                        theirs = found[other, kind, callers]
                        row[f"of_{other}"] = ratio(_rates(ours), _rates(theirs))
                made.append(row)
    return made


def _middle(found: Sequence[Found], key: str) -> float:
    return statistics.median(asdict(one)[key] for one in found)


def _rates(found: Sequence[Found]) -> list[float]:
    return [one.per_s for one in found]


def run(
    seconds: float = SECONDS, rounds: int = ROUNDS, without: Sequence[str] = ()
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as started:
        model = started.enter_context(contenders.upstream())
        running = [model]
        for start in (contenders.floor, contenders.noibo, contenders.litellm):
            if start.__name__ not in without:
                running.append(started.enter_context(start(model, Path(folder))))
        idle = {one.name: one.memory_mb() for one in running}
        for one in running:
            one.check()
        found = asyncio.run(measure(running, seconds, rounds))
        for one in running:
            one.check()
        starts = [
            {
                "name": one.name,
                "ready_s": one.ready_s,
                "idle_mb": idle[one.name],
                "after_mb": one.memory_mb(),
            }
            for one in running
        ]
    results = {"starts": starts, "rates": rows(found, [one.name for one in running])}
    _print(results)
    return results


def _print(results: dict[str, Any]) -> None:
    table([list(results["starts"][0]), *(list(row.values()) for row in results["starts"])])
    head = [
        "kind",
        "callers",
        "name",
        "per s",
        "p50 ms",
        "p99 ms",
        "adds ms",
        "× floor",
        "× LiteLLM",
    ]
    lines = [
        [*list(row.values())[:7], _said(row.get("of_floor")), _said(row.get("of_litellm"))]
        for row in results["rates"]
    ]
    table([head, *lines])


def _said(found: tuple[float, float, float] | None) -> str:
    return "" if found is None else "{:.2f} ({:.2f} to {:.2f})".format(*found)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=SECONDS)
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    asked.add_argument("--without", nargs="*", default=())
    keep("gateway", run(**vars(asked.parse_args())))
