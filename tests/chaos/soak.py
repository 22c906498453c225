"""A long day in short: eight callers on a real model and on echo, with all that happens meanwhile.

`python -m tests.chaos.soak --seconds 1800`, or `make soak`. Callers hang up, some are patient, a
worker is killed now and then, and in the middle a second real model wants the memory of the first.
At the end the memory of the server and of its workers is compared, the last fifth of the time with
the first: `.cache/soak.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tests.chaos.call import LOST, End, Outcome
from tests.chaos.echoes import echoes
from tests.chaos.killing import IDLE, Kill, alive, recoveries
from tests.chaos.load import Load, Mix
from tests.chaos.report import KEPT, quantile
from tests.running import RunningServer, run_noibo

CALLERS = 8
REAL = ("first:latest", "second:latest")
KILLED = ("a", "a", REAL[1])  # the others are there for their memory
CALM = Mix(
    ("a", "b", "a", "b", "a", "b", REAL[0]),
    leaves=0.1,
    batch=0.3,
    real=frozenset(REAL),
    patience_s=600,
)
CROWDED = Mix(
    ("a", "b", "a", "b", *REAL), leaves=0.1, batch=0.3, real=frozenset(REAL), patience_s=600
)
CALM_S, KILL_EVERY_S, LOOK_EVERY_S = 0.4, 15.0, 1.0  # calm: that share at either end
ENVIRON = {
    "NOIBO_ENGINE_CTX_SIZE": "1024",
    "NOIBO_ENGINE_PARALLEL": "4",  # else a model that is loaded again may be larger, by use
    "NOIBO_MEMORY_BUDGET": "500MiB",  # for the echoes and one of the two
    "NOIBO_MEMORY_CONVERSATIONS": "0",
}
GROWTH, GROWTH_BYTES = 1.05, 8 * 2**20


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one process: medians of the memory it held in the first and in the last fifth."""

    first_bytes: int
    last_bytes: int

    @property
    def flat(self) -> bool:
        return self.last_bytes <= self.first_bytes * GROWTH + GROWTH_BYTES


@dataclass(slots=True)
class Soak:
    """What came of it."""

    seconds: float
    sent: int
    answered: int
    failed: int
    left: int
    lost: int
    wrong: int
    kills: int
    recovery_s: tuple[float | None, float | None]  # p50, p95
    latency_s: dict[str, tuple[float | None, float | None]]
    memory: dict[str, Growth] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing lost, nothing doubled, nothing grew, nothing failed but by a kill."""
        grown = [name for name, growth in self.memory.items() if not growth.flat]
        return not (self.lost or self.wrong or grown or self.unexplained)


class Scale:
    """Weighs the server and its workers, again and again."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._began = time.monotonic()
        self._weights: dict[str, list[tuple[float, int]]] = defaultdict(list)

    async def weigh(self) -> None:
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        now = time.monotonic() - self._began
        self._weights["server"].append((now, self._process.memory_info().rss))
        with self._server.client() as client:
            for row in client.workers():
                if row.state == "ready" and row.memory_bytes:
                    self._weights[row.model].append((now, row.memory_bytes))

    def growths(self) -> dict[str, Growth]:
        whole = self._weights["server"][-1][0]
        found = {}
        for name, weights in self._weights.items():
            first = [held for at, held in weights if whole * 0.05 < at < whole * 0.25]
            last = [held for at, held in weights if at > whole * 0.8]
            if first and last:
                found[name] = Growth(
                    round(statistics.median(first)), round(statistics.median(last))
                )
        return found


async def soak(server: RunningServer, seconds: float, seed: int = 4) -> Soak:
    """Load a server for so long."""
    rng = random.Random(seed)
    began = time.monotonic()
    scale = Scale(server)
    kills: list[Kill] = []
    async with Load(server.url, CALM, CALLERS, seed) as load:
        weighing = asyncio.create_task(scale.weigh())
        while (left := began + seconds - time.monotonic()) > 0:
            calm = CALM_S * seconds
            load.mix = CALM if left < calm or left > seconds - calm else CROWDED
            await asyncio.sleep(min(left, rng.uniform(0.5, 1.5) * KILL_EVERY_S))
            kills += await asyncio.to_thread(_kill_one, server, rng)
        weighing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await weighing
    return _judge(seconds, load, kills, scale)


def _kill_one(server: RunningServer, rng: random.Random) -> list[Kill]:
    with server.client() as client:
        which = rng.choice(KILLED)
        rows = [row for row in client.workers() if row.model == which and row.pid]
    if not rows:
        return []
    row = rng.choice(rows)
    with contextlib.suppress(ProcessLookupError):
        os.kill(row.pid or 0, 9)
    return [Kill(time.monotonic(), row.pid or 0, row.model, "SIGKILL", row.state or IDLE)]


def _judge(seconds: float, load: Load, kills: Sequence[Kill], scale: Scale) -> Soak:
    count = load.count()
    found = recoveries(kills, load.outcomes)
    by_model: dict[str, list[float]] = defaultdict(list)
    for outcome in load.of(End.ANSWERED):
        by_model[outcome.call.model].append(outcome.took)
    return Soak(
        seconds=seconds,
        sent=len(load.outcomes),
        answered=count[End.ANSWERED],
        failed=count[End.FAILED],
        left=count[End.LEFT],
        lost=sum(count[end] for end in LOST),
        wrong=count[End.WRONG],
        kills=len(kills),
        recovery_s=(quantile(found, 0.5), quantile(found, 0.95)),
        latency_s={m: (quantile(t, 0.5), quantile(t, 0.95)) for m, t in sorted(by_model.items())},
        memory=scale.growths(),
        unexplained=[repr(o) for o in load.of(End.FAILED) if not _explained(o, kills)]
        + [repr(o) for o in load.bad()],
    )


def _explained(failed: Outcome, kills: Sequence[Kill]) -> bool:
    """It was with a worker that was killed, or came when its model had been killed so often in a
    row that it was told to come later."""
    killed = [k for k in kills if k.model == failed.call.model and k.at <= failed.ended]
    told_later = failed.code == "worker_start_failed" and "times in a row" in failed.message
    return (failed.code == "worker_died" and bool(killed)) or (told_later and len(killed) > 1)


def show(result: Soak) -> None:
    """Print it."""
    print(
        f"{result.seconds:g} s, {CALLERS} callers: {result.sent} requests, {result.answered} "
        f"answered, {result.left} left by their callers, {result.failed} failed with one of "
        f"{result.kills} killed workers, {result.lost} lost, {result.wrong} doubled or mixed; "
        f"recovery p50 {result.recovery_s[0]} s, p95 {result.recovery_s[1]} s"
    )
    for model, (p50, p95) in result.latency_s.items():
        print(f"  {model:13} answers p50 {p50} s, p95 {p95} s")
    for name, growth in result.memory.items():
        first, last = growth.first_bytes / 2**20, growth.last_bytes / 2**20
        verdict = "flat" if growth.flat else "GREW"
        print(f"  {name:13} {first:7.1f} MiB at first, {last:7.1f} MiB at last: {verdict}")
    for one in result.unexplained[:10]:
        print("  unexplained:", one)


def run(folder: Path, gguf: Path, seconds: float, seed: int = 4) -> Soak:
    """Set a server up in a folder, and soak it."""
    home = folder / "home"
    for name in REAL:
        added = run_noibo("add", str(gguf), "--name", name.partition(":")[0], home=home)
        assert added.returncode == 0, added.stderr
    with echoes(home, {"a": {}, "b": {}}, **ENVIRON) as server:
        workers = {process.pid for process in psutil.Process(server.pid).children(recursive=True)}
        result = asyncio.run(soak(server, seconds, seed))
    assert not any(alive(pid) for pid in workers)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=4)
    asked = parser.parse_args()
    from noibo.assembly import open_puller
    from noibo.modelstore.store import Store
    from noibo.settings import load

    cache = KEPT.parent
    environ = {"NOIBO_HOME": str(cache / "home"), "NOIBO_STORE_PATH": str(cache / "models")}
    open_puller(load(environ=environ)).pull("smollm2:135m")
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            Path(folder),
            Store(cache / "models").get("smollm2:135m").path,
            asked.seconds,
            asked.seed,
        )
    (cache / "soak.json").write_text(json.dumps(asdict(result), indent=1))
    show(result)
    sys.exit(not result.sound)


if __name__ == "__main__":
    main()
