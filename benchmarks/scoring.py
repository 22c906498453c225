"""Prompt tokens scored in a second against the floor: the same tokens only decoded, nothing shared.

A text of its own shares nothing: what it costs over the floor is the reading of the scores, and
HTTP. Questions with four choices share their beginning, in one request or in four that follow each
other, as evaluation harnesses send them. Ratios are of pairs that were measured in turn.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence

import aiohttp
import xllamacpp

from benchmarks.measuring import MODEL, in_turn, ratio, settings, table
from noibo.assembly import open_puller, open_store
from noibo.engines.engine import Speed, Verb
from noibo.engines.llama_cpp import api
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.llama_cpp.model import LlamaModel, Token
from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.size import Size
from noibo.engines.worker import Worker

QUESTIONS, CONTEXT, CHOICES, CHOICE = 2, 200, 4, 6  # tokens of a question, choices, tokens of one
TEXT = 1000  # tokens of a text of its own
HEADS = ("what", "tokens/s", "floor", "of the floor", "least", "most")
Tokens = list[int]
Load = list[list[Tokens]]  # requests of prompts
Loads = Iterator[Load]


def said(chance: random.Random, length: int) -> Tokens:
    return [chance.randrange(1000, 20_000) for _ in range(length)]


def questions(chance: random.Random) -> Load:
    """Of each question its four texts."""
    contexts = [said(chance, CONTEXT) for _ in range(QUESTIONS)]
    return [[context + said(chance, CHOICE) for _ in range(CHOICES)] for context in contexts]


LOADS: dict[str, Callable[[random.Random], Load]] = {
    "a text of its own": lambda chance: [[said(chance, TEXT)]],
    "four choices in one request": questions,
    "four choices in four requests": lambda chance: [[t] for q in questions(chance) for t in q],
    "eight short texts": lambda chance: [[said(chance, 12) for _ in range(8)]],
}


def floor(model: LlamaModel, texts: Sequence[Tokens]) -> float:
    """Seconds to decode every text by itself, with all of its scores, which nobody reads."""
    began = time.perf_counter()
    for text in texts:
        model.clear()
        tokens = [Token(token, place) for place, token in enumerate(text)]
        for start in range(0, len(tokens), model.batch):
            model.read(tokens[start : start + model.batch])
    return time.perf_counter() - began


async def score(session: aiohttp.ClientSession, requests: Sequence[Sequence[Tokens]]) -> float:
    """Seconds for these requests, one after the other."""
    began = time.perf_counter()
    for prompts in requests:
        asked = {"prompts": prompts, "top": 1, "after": True}
        async with session.post("/score", json=asked) as response:
            response.raise_for_status()
            lines = (await response.read()).splitlines()
            assert all(json.loads(line)["after"] for line in lines)
    return time.perf_counter() - began


async def compare(
    session: aiohttp.ClientSession, model: LlamaModel, rounds: int
) -> dict[str, float]:
    chance, rows, figures = random.Random(0), [HEADS], {}
    for what, make in LOADS.items():
        loads = [make(chance) for _ in range(rounds)]
        left = iter(loads), iter(loads)

        async def scored(left: Loads = left[0]) -> float:
            return await score(session, next(left))

        async def decoded(left: Loads = left[1]) -> float:
            texts = [text for request in next(left) for text in request]
            return await asyncio.to_thread(floor, model, texts)

        ours, floors = await in_turn(scored, decoded, rounds)
        tokens = sum(len(text) for load in loads for request in load for text in request)
        of_floor = ratio(floors, ours)
        rows.append((what, tokens / sum(ours), tokens / sum(floors), *of_floor))
        figures[what] = of_floor[0]
    table(rows)
    return figures


async def measure(rounds: int) -> dict[str, float]:
    tree, engine = settings(), LlamaCpp()
    open_puller(tree).pull(MODEL)
    found = await ModelLookup(open_store(tree), MODEL, engine.name).resolve(MODEL)
    model = engine.serving(found, Verb.SCORE)
    launch = engine.launch(model, Size(2048, 1), tree.engine, Speed(measure=False))
    plain = LlamaModel(api.bind(xllamacpp.xllamacpp.__file__), launch.config)
    worker = Worker(engine, model, launch, tree.engine)
    await worker.start()
    headers = {"Authorization": f"Bearer {worker.key}"}
    try:
        async with aiohttp.ClientSession(worker.url, headers=headers) as session:
            return await compare(session, plain, rounds)
    finally:
        await worker.stop()


def run(rounds: int = 3) -> dict[str, float]:
    return asyncio.run(measure(rounds))
