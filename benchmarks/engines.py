"""How fast engines answer with the same weights, each alone and through noibo, in one run.

llama.cpp by the wheel, compiled for this processor (where it was: `--compile`, 15 minutes),
OpenVINO GenAI, and with `--vllm` vLLM, which has the same weights unpacked to bfloat16 and so reads
more bytes for each token. All are loaded at once and asked in turn, round by round, with the same
prompts. The lower table is what noibo's part in it is: through noibo by alone.

`python -m benchmarks.engines --seconds 2 --rounds 1 --callers 1 4 --without openvino` is a look.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import engine_hosts
from benchmarks.engine_hosts import Host, started
from benchmarks.measuring import MODEL, keep, settings, table
from noibo.assembly import open_puller
from noibo.evaluation.cost import Machine
from noibo.evaluation.load import Bench
from noibo.evaluation.measures import BY_KEY, Measured, compared, measured
from noibo.evaluation.notes import notes
from noibo.evaluation.rounds import Plan, Progress, Standing
from noibo.evaluation.sides import Side
from noibo.evaluation.statistics import Estimate
from noibo.evaluation.words import estimate_text, note_text

CALLERS = (1, 4, 8)
SECONDS, ROUNDS, PROMPT, TOKENS = 10.0, 5, 130, 64
SHOWN = ("rate", "caller_rate", "first_p50", "latency_p50")
ENGINES = ("wheel", "compiled", "openvino", "vllm")
THROUGH = "through noibo"


def hosts(gguf: Path, *, compile_it: bool, with_vllm: bool, without: Sequence[str]) -> list[Host]:
    """The engines that are wanted and can be had."""
    made: dict[str, Callable[[], Host | None]] = {
        "wheel": lambda: engine_hosts.wheel(gguf),
        "compiled": lambda: engine_hosts.compiled(gguf, make=compile_it),
        "openvino": lambda: engine_hosts.openvino(gguf),
        "vllm": lambda: engine_hosts.vllm(gguf) if with_vllm else None,
    }
    found = [made[name]() for name in ENGINES if name not in without]
    return [host for host in found if host is not None]


@contextlib.contextmanager
def all_sides(engines: Sequence[Host], folder: Path) -> Iterator[list[Side]]:
    """Each engine alone and, next to it, through noibo."""
    with contextlib.ExitStack() as running:
        urls = {host.name: running.enter_context(started(host, folder)) for host in engines}
        models = {_plain(name): url for name, url in urls.items()}
        front = running.enter_context(started(engine_hosts.noibo(models, folder), folder))
        sides = []
        for host in engines:
            sides.append(Side(host.name, f"{urls[host.name]}/v1", host.model))
            sides.append(Side(f"{host.name} {THROUGH}", f"{front}/v1", _plain(host.name)))
        yield sides


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


async def measure(sides: Sequence[Side], plan: Plan) -> Bench:
    bench = Bench(sides, plan, _tell)
    await bench.warm_up()
    for standing in bench.standings:
        if standing.out is not None:
            raise SystemExit(f"{standing.side.name}: {standing.out.said}")
    await bench.measure()
    return bench


def _tell(now: Progress) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K  {now}", end="", file=sys.stderr, flush=True)


def rows(found: Sequence[Measured]) -> list[dict[str, Any]]:
    return [
        {"engine": row.side, "callers": row.callers, "answers": row.answers}
        | {"failed": sum(row.failures.values())}
        | {key: _said(row.figures[key]) for key in SHOWN}
        for row in found
    ]


def parts(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Through noibo by alone."""
    made = []
    for alone, through in zip(standings[::2], standings[1::2], strict=True):
        for callers, cell in through.cells.items():
            ratios = {key: compared(BY_KEY[key], cell, alone.cells[callers]) for key in SHOWN}
            told = {key: _said(found) for key, found in ratios.items()}
            made.append({"engine": alone.side.name, "callers": callers} | told)
    return made


def _said(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def run(
    seconds: float = SECONDS,
    rounds: int = ROUNDS,
    callers: Sequence[int] = CALLERS,
    tokens: int = TOKENS,
    *,
    compile_it: bool = False,
    with_vllm: bool = False,
    without: Sequence[str] = (),
) -> dict[str, Any]:
    blob = open_puller(settings()).pull(MODEL).path
    plan = Plan(tuple(callers), rounds=rounds, seconds=seconds, prompt_tokens=PROMPT, tokens=tokens)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        gguf = Path(shutil.copy(blob, folder / "smollm2-135m.gguf"))  # by its ending it is known
        wanted = hosts(gguf, compile_it=compile_it, with_vllm=with_vllm, without=without)
        if not wanted:
            raise SystemExit("No engine is left to measure.")
        with all_sides(wanted, folder) as sides:
            bench = asyncio.run(measure(sides, plan))
    results = {
        "versions": {host.name: host.version for host in wanted},
        "engines": rows(measured(bench.standings, Machine())),
        "through_noibo": parts(bench.standings),
        "notes": [note_text(note, "en") for note in notes(bench.standings, plan)],
    }
    _print(results)
    return results


def _print(results: dict[str, Any]) -> None:
    for name in ("engines", "through_noibo"):
        lines = [[_cell(value) for value in row.values()] for row in results[name]]
        table([[_head(key, name) for key in results[name][0]], *lines])
        print(flush=True)
    for name, version in results["versions"].items():
        print(f"  {name}: {version}", flush=True)
    for note in results["notes"]:
        print(f"  {note}", flush=True)


def _head(key: str, of: str) -> str:
    """A figure's name with its unit; ratios have none."""
    return f"{key} {BY_KEY[key].unit}" if key in BY_KEY and of == "engines" else key


def _cell(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    return estimate_text(Estimate(value["value"], value["low"], value["high"], value["n"]))


def options() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=SECONDS)
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    asked.add_argument("--callers", type=int, nargs="+", default=CALLERS)
    asked.add_argument("--tokens", type=int, default=TOKENS)
    asked.add_argument("--compile", dest="compile_it", action="store_true")
    asked.add_argument("--vllm", dest="with_vllm", action="store_true")
    asked.add_argument("--without", nargs="*", choices=ENGINES, default=())
    return asked


if __name__ == "__main__":
    keep("engines", run(**vars(options().parse_args())))
