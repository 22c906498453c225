"""What the benchmarks share: a noibo inside this process, a load from another, and medians."""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from noibo.assembly import open_puller
from noibo.engines.supervision.claim import Claim
from noibo.engines.worker import Worker
from noibo.gateway.app import create_app
from noibo.gateway.services import Services
from noibo.serving import open_services
from noibo.settings import Settings, load

T = TypeVar("T")
CACHE = Path(".cache").absolute()
MODEL = "smollm2:135m"
RESULTS = CACHE / "benchmarks.json"


def settings(**environ: str) -> Settings:
    """Settings over the store that the tests use too."""
    home = {"NOIBO_HOME": str(CACHE / "home"), "NOIBO_STORE_PATH": str(CACHE / "models")}
    return load(environ=home | environ)


@dataclass(frozen=True, slots=True)
class Running:
    """A server in this process, and its worker, so that both addresses are known."""

    url: str
    services: Services
    worker: Worker


@contextlib.asynccontextmanager
async def running(tree: Settings) -> AsyncIterator[Running]:
    """noibo with the default model loaded."""
    open_puller(tree).pull(MODEL)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with open_services(tree, lambda: None) as services:

        @contextlib.asynccontextmanager
        async def given() -> AsyncIterator[Services]:
            yield services

        config = uvicorn.Config(create_app(given), log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with services.supervisor.lease(Claim(await services.resolve(MODEL))) as worker:
            pass
        try:
            yield Running(url, services, worker)
        finally:
            server.should_exit = True
            await serving


async def load_from_outside(**job: Any) -> dict[str, float]:
    """Run `benchmarks.load` in a process of its own; its figures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", json.dumps(job), stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    figures: dict[str, float] = json.loads(out)
    return figures


async def in_turn(
    a: Callable[[], Awaitable[T]], b: Callable[[], Awaitable[T]], rounds: int
) -> tuple[list[T], list[T]]:
    """A B B A A B …: what drifts on the machine drifts for both."""
    got: tuple[list[T], list[T]] = ([], [])
    for i in range(rounds):
        for which in ((0, 1), (1, 0))[i % 2]:
            got[which].append(await (a, b)[which]())
    return got


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median of the ratios pair by pair, with the smallest and the largest."""
    pairs = sorted(x / y for x, y in zip(ours, theirs, strict=True))
    return statistics.median(pairs), pairs[0], pairs[-1]


def table(rows: Sequence[Sequence[object]]) -> None:
    """Columns that line up."""
    texts = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    for row in texts:
        cells = (c.ljust(w) for c, w in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip(), flush=True)


def keep(name: str, found: object) -> None:
    """Put the figures of one benchmark beside those of the others."""
    kept: dict[str, object] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[name] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "found": found,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=1))
    print(f"\nKept in {RESULTS}.", flush=True)
