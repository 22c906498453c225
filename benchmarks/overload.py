"""Ten times as much as can be answered: what is lost, what is promised, who waits, what it takes.

`python -m benchmarks.overload 600` is the long form; `… 600 echo` leaves the real model out.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.call import Call, as_grammar
from tests.chaos.echoes import echoes
from tests.chaos.flood import Ask, Flood, Found, capacity, scripted
from tests.running import RunningServer

from benchmarks.measuring import CACHE, MODEL

TIMES = 10.0
USUAL_S = 60.0
RESULTS = CACHE / "overload.json"


@dataclass(frozen=True, slots=True)
class Form:
    """A model under a flood: what is asked of it, and with how many slots and places."""

    model: str
    make: Ask
    slots: int
    longest: int
    server: Callable[..., RunningServer]


def spoken(number: int) -> Call:
    """A request that a real model can only answer in one way."""
    text = f"No. {number}"
    return Call(MODEL, text, streamed=number % 4 != 0, more=as_grammar(text))


def scripted_server(home: Path, **environ: str) -> RunningServer:
    return echoes(home, {"m": {}}, **environ)


FORMS: Mapping[str, Form] = {
    "echo": Form("m", scripted("m", 100, 20, words=5), 4, 128, scripted_server),
    "real": Form(MODEL, spoken, 2, 16, RunningServer),
}


async def flood(form: Form, seconds: float) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "NOIBO_STORE_PATH": str(CACHE / "models"),
            "NOIBO_ENGINE_PARALLEL": str(form.slots),
            "NOIBO_ENGINE_CTX_SIZE": "512",
            "NOIBO_QUEUE_LONGEST": str(form.longest),
        }
        with form.server(Path(folder) / "home", **environ) as server:
            server.load(form.model)
            rate = TIMES * await capacity(server.url, form.make, form.slots, seconds=5)
            return Found.of(await Flood(server.url, server.pid, form.make, rate, seconds).run())


def row(name: str, found: Found) -> str:
    """One line of the table in docs/overload.md."""
    p50, p99, rss = found.ttft_p50_s, found.ttft_p99_s, found.rss_mib
    kept = f"{found.admitted_then} of {found.promised}"
    cells = [
        name,
        *(f"{n:,}" for n in (found.offered, found.admitted, found.refused, found.lost)),
        kept,
        f"{p50[0]:.1f} / {p50[1]:.1f}",
        f"{p99[0]:.1f} / {p99[1]:.1f}",
        " / ".join(f"{mib:.0f}" for mib in rss),
        f"{1000 * found.looked_p99_s:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| engine | offered | admitted | refused | lost | promises kept "
    "| TTFT p50, s, first / last third | p99, s | RSS MiB, start / middle / end "
    "| p99 of the rest, ms |"
)


def run(seconds: float = USUAL_S, names: tuple[str, ...] = tuple(FORMS)) -> dict[str, Any]:
    print(HEAD, "|---" * 10 + "|", sep="\n", flush=True)
    results: dict[str, Any] = {"seconds": seconds, "times": TIMES}
    for name in names:
        found = asyncio.run(flood(FORMS[name], seconds))
        print(row(name, found), flush=True)
        results[name] = asdict(found)
    return results


if __name__ == "__main__":
    asked = float(sys.argv[1]) if len(sys.argv) > 1 else USUAL_S
    found = run(asked, tuple(sys.argv[2:]) or tuple(FORMS))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1))
    print(f"\nKept in {RESULTS}.")
