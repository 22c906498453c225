"""How far predicted memory is from what workers really hold, by model, context, slots and KV type.

Aim: within 10 % before anything was measured here. A worker is measured when it is ready and has
read one prompt, as the server does it; its file is a copy, so that it shares its pages with no
other worker. "Corrected" is what the book would expect of a model it has never seen, from what
it measured of the other one.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measuring import MODEL, settings, table
from noibo.assembly import open_puller, open_store
from noibo.engines.engine import Model, Speed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.size import Need, Size
from noibo.engines.worker import Worker
from noibo.settings import KvType, Settings

MODELS = (MODEL, "gemma3:270m-base")
CONTEXTS = (512, 2048, 8192)
SLOTS = (1, 4, 8)
KINDS: tuple[KvType, ...] = ("f16", "q8_0")
RATE = 64.0  # prompt tokens/s, so that the batch is the same wherever this runs
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One worker: what was estimated, what it held."""

    model: str
    size: Size
    need: Need
    held: int

    @property
    def error(self) -> float:
        return self.need.at_start / self.held - 1


async def measure(model: Model, size: Size, tree: Settings) -> Row:
    engine = LlamaCpp()
    launch = engine.launch(model, size, tree.engine, Speed(RATE, measure=True))
    worker = Worker(engine, model, launch, tree.engine)
    await worker.start()
    try:
        await worker.prove()
        assert worker.process is not None
        held = Machine().held_alone(worker.process.pid)
    finally:
        await worker.stop()
    return Row(model.name, size, launch.need, held)


async def found(name: str, tree: Settings) -> Model:
    return await ModelLookup(open_store(tree), MODEL, LlamaCpp.name).resolve(name)


def measure_all(folder: Path) -> list[Row]:
    tree, rows = settings(), []
    for name in MODELS:
        open_puller(tree).pull(name)
        model = asyncio.run(found(name, tree))
        assert model.path is not None
        alone = Path(shutil.copy(model.path, folder / "model.gguf"))
        for context, slots, kind in itertools.product(CONTEXTS, SLOTS, KINDS):
            size = Size(context, slots, kind)
            rows.append(asyncio.run(measure(replace(model, path=alone), size, tree)))
        alone.unlink()
    return rows


def corrected(row: Row, rows: list[Row], folder: Path) -> float:
    """The error of what a book expects that has seen all models but this row's."""
    book = Book(folder / f"{row.model.replace(':', ' ')}.json")
    for i, other in enumerate(rows):
        if other.model != row.model:
            book.measured(f"{i}", LlamaCpp.name, other.need, other.held)
    return book.expected("never seen", LlamaCpp.name, row.need) / row.held - 1


def run() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_all(Path(folder))
        learned = [corrected(row, rows, Path(folder)) for row in rows]
    heads = ("model", "context", "slots", "KV", "predicted MiB", "held MiB", "error", "corrected")
    shown = [
        (
            row.model,
            row.size.context,
            row.size.parallel,
            row.size.kv_type,
            row.need.at_start // MIB,
            row.held // MIB,
            f"{row.error:+.1%}",
            f"{other:+.1%}",
        )
        for row, other in zip(rows, learned, strict=True)
    ]
    table([heads, *shown])
    plain = [abs(row.error) for row in rows]
    figures = {
        "mean error": statistics.mean(plain),
        "largest error": max(plain),
        "mean error, corrected": statistics.mean(map(abs, learned)),
        "largest error, corrected": max(map(abs, learned)),
    }
    table([(name, f"{value:.1%}") for name, value in figures.items()])
    return figures
