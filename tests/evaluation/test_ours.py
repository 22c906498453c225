"""Models of the server here, each measured by the engine that was named with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from noibo.client import AsyncClient
from noibo.evaluation.cost import Tariff
from noibo.evaluation.load import PROBE_TOKENS
from noibo.evaluation.ours import Ours, with_prices
from noibo.evaluation.sides import Side
from noibo.model_settings import ModelSettings
from noibo.usage.prices import shipped
from noibo.wire.management import WorkerRow
from tests.running import RunningServer, run_noibo

ENGINES = Path(__file__).parent.parent / "engines"
MODEL = "smollm2:135m"
USES = f"""
[uses.chat]
model = "{MODEL}"
[uses.code]
model = "{MODEL}"
engine = "llama_server"
"""
TOKENS = 4
SHORT = ("--rounds", "1", "--requests", "1", "--concurrency", "1", "--tokens", str(TOKENS))


class Loaded:
    """A server's answers to those two calls: three workers of one model."""

    def __init__(self) -> None:
        self.rows = [
            row("m", "llama_cpp", "generate", 1),
            row("m", "llama_server", "generate", 10),
            row("m", "llama_cpp", "embed", 100),
        ]

    async def load(self, model: str) -> WorkerRow:
        return self.rows[1 if model in {"use:code", "m@llama_server"} else 0]

    async def workers(self) -> list[WorkerRow]:
        return self.rows


def row(model: str, engine: str, verb: str, peak: int) -> WorkerRow:
    said: dict[str, Any] = {
        name: 0 for name in WorkerRow.__struct_fields__ if name not in {"state", "note"}
    }
    own = {"model": model, "engine": engine, "verb": verb, "peak_bytes": peak}
    return WorkerRow(**{**said, "state": "ready", "note": "", "placement": {}, **own})


@pytest.mark.anyio
async def test_memory_is_of_the_worker_that_was_loaded_for_it() -> None:
    host = Ours(cast(AsyncClient, Loaded()))
    assert await host.memory("m") is None
    for model, held in (("m", 1), ("use:chat", 1), ("use:code", 10), ("m@llama_server", 10)):
        await host.prepare(model)
        assert await host.memory(model) == held


def elsewhere(name: str, **said: Any) -> Side:
    """A side of ours whose model has that table."""
    own = ModelSettings(engine="remote", **said)
    return with_prices(Side(name, "http://127.0.0.1:1/v1", name), {name: own}, shipped())


def test_what_is_answered_elsewhere_costs_what_is_paid_there() -> None:
    asked = elsewhere("mini", base_url="https://api.openai.com/v1", model="gpt-4o-mini")
    assert (asked.elsewhere, asked.tariff) == (True, Tariff(0.15, 0.6))
    unknown = elsewhere("mini", base_url="https://api.example/v1", model="gpt-4o-mini")
    assert (unknown.elsewhere, unknown.tariff) == (True, None)


def test_what_is_answered_on_this_machine_costs_what_that_takes() -> None:
    here = Side("m", "http://127.0.0.1:1/v1", "m")
    assert with_prices(here, {"m": ModelSettings(ctx_size=512)}, shipped()) is here
    assert with_prices(here, {}, shipped()) is here
    assert not elsewhere("big", base_url="http://127.0.0.1:8000/v1").elsewhere


@pytest.fixture
def server(home: Path, model_store: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a real model, and beside its own engine a program that stands in for a
    llama-server, with the real engine behind it."""
    source = (ENGINES / "llama_server_program.py").read_text()
    text = (ENGINES / "transcripts" / "llama_server_help_2025.txt").read_text()
    program = tmp_path / "bin" / "llama-server"
    program.parent.mkdir()
    said = source.replace('HELP = "HELP"', f"HELP = {text!r}")
    program.write_text(f"#!{sys.executable}\n{said}")
    program.chmod(0o755)
    home.mkdir()
    (home / "noibo.toml").write_text(USES)
    settings = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_ENGINE_LLAMA_SERVER": str(program)}
    with RunningServer(home, **settings, NOIBO_ENGINE_CTX_SIZE="2048") as running:
        yield running


@pytest.mark.heavy
@pytest.mark.timeout(600)  # four sides, each probed: a minute on a machine at rest
def test_two_engines_of_a_model_are_two_sides(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    asked = (f"{MODEL}@llama_cpp", f"{MODEL}@llama_server", "use:chat", "use:code")
    done = run_noibo("bench", *asked, *SHORT, "--json", str(path), home=server.home, timeout=500)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(path.read_text())
    assert [side["name"] for side in found["sides"]] == [MODEL, *asked[1:]]  # the first: its own
    assert [row["answers"] for row in found["measured"]] == [1, 1, 1, 1]
    with server.client() as client:
        rows = {row.engine: row for row in client.workers()}
    each = 3 * PROBE_TOKENS + TOKENS  # two probes, a warm-up, an answer
    assert {name: row.tokens_out for name, row in rows.items()} == dict.fromkeys(
        ("llama_cpp", "llama_server"), 2 * each
    )
    for side, engine in zip(found["sides"], ["llama_cpp", "llama_server"] * 2, strict=True):
        assert 2**20 < side["memory_bytes"] <= rows[engine].peak_bytes
