"""How far `noibo fit` is from what happens: memory and speeds, predicted, measured, and predicted
by what only the other model taught, or only other settings of both.

Memory: a worker of each model for every context, number of callers and KV type, measured when it is
ready and has read one prompt; its file is a copy that no other worker shares. Speeds: prompts of
two lengths, and answers for one caller and for several at once, the best of some rounds. A context
of 128k is predicted on paper alone. Aim: memory within 10 %.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import memory
from benchmarks.measuring import settings, table
from noibo.assembly import open_puller
from noibo.engines import line
from noibo.engines.engine import Model, Speed
from noibo.engines.fit import pace
from noibo.engines.fit.ask import Ask, of_choice, of_model
from noibo.engines.fit.fit import predict
from noibo.engines.fit.work import work_of
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.correction import LeftOut, Sample, leave_one_model_out
from noibo.engines.memory.size import Size
from noibo.engines.worker import Worker
from noibo.hardware.machine import Hardware
from noibo.hardware.probe import probe
from noibo.modelstore.catalog import load
from noibo.modelstore.reference import Reference
from noibo.settings import Settings

PROMPTS = (256, 1024)
CALLERS = (1, 4, 8)
WRITTEN, SHORT = 48, 16
ROUNDS = 4
FAR = 131_072
ON_PAPER = ("smollm2:135m", "qwen2.5:0.5b", "qwen2.5:7b", "llama3.1:8b", "qwen3:30b")
MIB = 2**20
Rows = list[tuple[object, ...]]


# ── memory ──────────────────────────────────────────────────────────────────


def weigh(models: Sequence[Model], tree: Settings, hardware: Hardware, folder: Path) -> Rows:
    """What each worker held, against what fit says of it."""
    settings_of, samples = [], []
    for model in models:
        assert model.path is not None
        alone = replace(model, path=Path(shutil.copy(model.path, folder / "model.gguf")))
        for context, slots, kind in itertools.product(memory.CONTEXTS, memory.SLOTS, memory.KINDS):
            size = Size(context, slots, kind)
            held = asyncio.run(memory.measure(alone, size, tree)).held
            ask = replace(
                of_model(alone),
                context=context,
                parallel=slots,
                kv_type=kind,
                prefill=memory.RATE,  # so that the batch is that of the worker
            )
            said = predict(ask, hardware).memory.middle
            samples.append(Sample(model.name, said, held))
            settings_of.append((context, slots, kind))
        assert alone.path is not None
        alone.path.unlink()
    return [
        (one.sample.model, *which, *_mib(one), *_errors(one, other, ".1%"))
        for which, (one, other) in zip(settings_of, _left_out(samples, settings_of), strict=True)
    ]


def _left_out(
    samples: Sequence[Sample], settings_of: Sequence[object], doubt: float = 0.1
) -> list[tuple[LeftOut, LeftOut]]:
    """Each as it is predicted by what other models taught, and by what other settings did."""
    by_setting = [
        replace(one, model=str(which)) for which, one in zip(settings_of, samples, strict=True)
    ]
    by_model = leave_one_model_out(samples, doubt)
    return list(zip(by_model, leave_one_model_out(by_setting, doubt), strict=True))


def _errors(one: LeftOut, other: LeftOut, form: str) -> tuple[str, str, str]:
    """Plain, with the model left out, and with the setting left out."""
    return f"{one.plain:+{form}}", f"{one.corrected:+{form}}", f"{other.corrected:+{form}}"


def _mib(one: LeftOut) -> tuple[int, int]:
    return round(one.sample.predicted / MIB), round(one.sample.measured / MIB)


# ── speeds ──────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def started(model: Model, size: Size, tree: Settings) -> AsyncIterator[Worker]:
    engine = LlamaCpp()
    launch = engine.launch(model, size, tree.engine, Speed(memory.RATE, measure=False))
    worker = Worker(engine, model, launch, tree.engine)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def ask_worker(worker: Worker, tokens: int, written: int, odd: int = 0) -> dict[str, float]:
    """The engine's own timings of one answer."""
    prompt = [1 + (i + odd) % 50 for i in range(tokens)]
    body = {"prompt": prompt, "n_predict": written, "cache_prompt": False, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {worker.key}", "Content-Type": "application/json"}
    async with (
        line.Session() as session,
        await session.post(f"{worker.url}/completion", msgspec.json.encode(body), headers) as got,
    ):
        found: dict[str, float] = msgspec.json.decode(await got.read())["timings"]
        return found


async def reading(worker: Worker, tokens: int) -> float:
    got = [(await ask_worker(worker, tokens, 1))["prompt_per_second"] for _ in range(ROUNDS)]
    return max(got)


async def writing(worker: Worker, callers: int) -> float:
    """Tokens/s of each when so many are answered at once."""
    best = 0.0
    for _ in range(ROUNDS):
        jobs = [ask_worker(worker, SHORT, WRITTEN, odd) for odd in range(callers)]
        rates = [one["predicted_per_second"] for one in await asyncio.gather(*jobs)]
        best = max(best, statistics.median(rates))
    return best


async def hurry(model: Model, tree: Settings) -> tuple[list[float], list[float]]:
    """Measured reading for each of PROMPTS, measured writing for each of CALLERS."""
    async with started(model, Size(2048, max(CALLERS)), tree) as worker:
        read = [await reading(worker, tokens) for tokens in PROMPTS]
        return read, [await writing(worker, callers) for callers in CALLERS]


def race(models: Sequence[Model], tree: Settings, hardware: Hardware) -> tuple[Rows, Rows]:
    parts = [pace.Part(1.0, pace.of_processor(hardware))]
    read, written = [], []
    for model in models:
        ask = of_model(model)
        did = asyncio.run(hurry(model, tree))
        for tokens, rate in zip(PROMPTS, did[0], strict=True):
            read.append(Sample(model.name, _reading(ask, tokens, parts), rate))
        for callers, rate in zip(CALLERS, did[1], strict=True):
            written.append(Sample(model.name, _writing(ask, callers, parts), rate))
    return _raced(read, PROMPTS), _raced(written, CALLERS)


def _reading(ask: Ask, tokens: int, parts: Sequence[pace.Part]) -> float:
    work = work_of(ask, tokens)
    return (pace.reading(work, parts) if work else None) or 0.0


def _writing(ask: Ask, callers: int, parts: Sequence[pace.Part]) -> float:
    work = work_of(ask, SHORT + WRITTEN // 2, callers)
    return (pace.writing(work, parts) if work else None) or 0.0


def _raced(samples: Sequence[Sample], which: Sequence[int]) -> Rows:
    settings_of = [number for number, _ in zip(itertools.cycle(which), samples, strict=False)]
    return [
        (
            one.sample.model,
            number,
            round(one.sample.predicted, 1),
            round(one.sample.measured, 1),
            *_errors(one, other, ".0%"),
        )
        for number, (one, other) in zip(
            settings_of, _left_out(samples, settings_of, pace.DOUBT), strict=True
        )
    ]


# ── on paper ────────────────────────────────────────────────────────────────


def on_paper(hardware: Hardware) -> Rows:
    """A context of 128k for one caller."""
    rows: Rows = []
    for name, kind in itertools.product(ON_PAPER, memory.KINDS):
        choice = load().require(Reference.parse(name))
        ask = replace(of_choice(choice, context=FAR, parallel=1), kv_type=kind)
        fit = predict(ask, hardware)
        gigabytes = [round(x / 1e9, 2) for x in (dict(fit.parts)["KV cache"], fit.memory.middle)]
        stretched = any("YaRN" in one for one in fit.advice)
        rows.append((name, kind, *gigabytes, fit.verdict, "by YaRN" if stretched else "as it is"))
    return rows


# ── all of it ───────────────────────────────────────────────────────────────

_ERRORS = ("error", "model left out", "setting left out")
HEADS = {
    "memory": ("model", "context", "callers", "KV", "MiB said", "MiB held", *_ERRORS),
    "reading": ("model", "prompt", "tok/s said", "tok/s did", *_ERRORS),
    "writing": ("model", "callers", "tok/s each said", "did", *_ERRORS),
    "on paper": ("model", "KV", "GB of KV", "GB in all", "here", "context of 131,072"),
}


def run() -> dict[str, Any]:
    tree = settings()
    for name in memory.MODELS:
        open_puller(tree).pull(name)
    models = [asyncio.run(memory.found(name, tree)) for name in memory.MODELS]
    hardware = probe(folder=tree.models_folder)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found["memory"] = _shown("memory", weigh(models, tree, hardware, Path(folder)))
    read, written = race(models, tree, hardware)
    found["reading"], found["writing"] = _shown("reading", read), _shown("writing", written)
    found["on paper"] = _shown("on paper", on_paper(hardware))
    print("\nmean and largest error", flush=True)
    figures = {name: _figures(found[name]) for name in ("memory", "reading", "writing")}
    table([(name, *values) for name, values in figures.items()])
    machine = {"bandwidth": hardware.bandwidth, "flops": hardware.flops}
    return found | {"figures": figures, "hardware": machine}


def _shown(name: str, rows: Rows) -> Rows:
    print(f"\n{name}", flush=True)
    table([HEADS[name], *rows])
    return rows


def _figures(rows: Rows) -> tuple[str, ...]:
    """Mean and largest error: plain, with the model left out, with the setting left out."""
    said = []
    for column in (-3, -2, -1):
        errors = [abs(float(str(row[column]).rstrip("%"))) for row in rows]
        said += [f"{statistics.mean(errors):.1f} %", f"{max(errors):.1f} %"]
    return tuple(said)
