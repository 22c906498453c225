"""Time to the first token of a second turn against the first's, with and without kept state.

One conversation starts with a prompt of some 1,100 tokens. Its second turn comes at once: the slot
still holds it. Its third comes after four other conversations took the two slots there are: then
only kept state has it. Ratios are to the first turn of the same run.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass

import aiohttp

from benchmarks.measuring import MODEL, settings, table
from noibo.assembly import open_puller, open_store
from noibo.engines.engine import Model, Speed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.size import Size
from noibo.engines.worker import Worker
from noibo.settings import Settings

MODELS = (MODEL, "gemma3:270m-base")  # the second sees most of its layers through a window
FIRST, OTHERS, TURN, ANSWER = 1100, 4, 24, 8  # tokens, conversations, tokens, tokens
KEPT = 300 * 2**20
HEADS = ("model", "kept MiB", "turn", "first token s", "of 1st", "reused")
LABELS = ("1st", "2nd", "3rd, after others")
Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn: the answer's tokens, seconds to the first of them, prompt tokens not read again."""

    tokens: Tokens
    first_s: float
    reused: int


async def ask(session: aiohttp.ClientSession, prompt: Tokens) -> Asked:
    body = {
        "prompt": prompt,
        "n_predict": ANSWER,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "return_tokens": True,
    }
    began, first_s, reused, tokens = time.perf_counter(), 0.0, 0, []
    async with session.post("/completion", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line.removeprefix(b"data: "))
            first_s = first_s or time.perf_counter() - began
            tokens += event.get("tokens") or []
            reused = event.get("timings", {}).get("cache_n", reused)
    return Asked(tokens, first_s, reused)


def said(seed: int, length: int) -> Tokens:
    """Tokens that share no beginning with those of another seed."""
    chance = random.Random(seed)
    return [chance.randrange(1000, 20_000) for _ in range(length)]


async def talk(worker: Worker, rounds: int) -> list[list[Asked]]:
    headers = {"Authorization": f"Bearer {worker.key}"}
    found = []
    each_its_own = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        worker.url, headers=headers, connector=each_its_own
    ) as session:
        for number in range(rounds):
            history = said(number, FIRST)
            turns = [await ask(session, history)]
            for turn in (1, 2):
                history = history + turns[-1].tokens + said(100 * turn + number, TURN)
                turns.append(await ask(session, history))
                if turn == 1:
                    for other in range(OTHERS):
                        await ask(session, said(1000 + 10 * number + other, 100))
            found.append(turns)
    return found


async def measure(model: Model, kept_bytes: int, tree: Settings, rounds: int) -> list[list[Asked]]:
    engine, size = LlamaCpp(), Size(2048, 2, kept_bytes=kept_bytes)
    launch = engine.launch(model, size, tree.engine, Speed(measure=False))
    worker = Worker(engine, model, launch, tree.engine)
    await worker.start()
    try:
        return await talk(worker, rounds)
    finally:
        await worker.stop()


async def measure_all(rounds: int) -> dict[str, float]:
    tree, figures = settings(), {}
    lookup = ModelLookup(open_store(tree), MODEL, LlamaCpp.name)
    for name in MODELS:
        open_puller(tree).pull(name)
        model = await lookup.resolve(name)
        for kept in (KEPT, 0):
            rows: list[tuple[object, ...]] = [HEADS]
            for turns in await measure(model, kept, tree, rounds):
                for label, turn in zip(LABELS, turns, strict=True):
                    share = turn.first_s / turns[0].first_s
                    rows.append((name, kept >> 20, label, turn.first_s, share, turn.reused))
                    figures[f"{name} kept {kept >> 20} MiB, {label}"] = share
            table(rows)
    return figures


def run(rounds: int = 1) -> dict[str, float]:
    return asyncio.run(measure_all(rounds))
