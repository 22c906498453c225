"""A real load and a real answer leave what the next prediction learns from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from noibo import settings
from noibo.engines.engine import Model
from noibo.engines.fit.ask import of_model
from noibo.engines.fit.fit import predict
from noibo.engines.fit.speeds import Speeds
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.book import Book
from noibo.engines.memory.correction import Correction
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.engines.worker import Worker
from noibo.modelstore.gguf.model_info import inspect_model
from tests.engines.fit.machines import machine
from tests.engines.test_llama_cpp import answer

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]
LIMITS = settings.Engine(ctx_size=1024, parallel=2)


@pytest.fixture
def model(smollm2_gguf: Path) -> Model:
    info, size = inspect_model(smollm2_gguf), smollm2_gguf.stat().st_size
    return Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192, info=info, bytes=size)


async def told_of(worker: Worker, tokens: int) -> None:
    """Wait until the engine has said how long the answer took: it writes that beside answering,
    and on a busy machine after it."""
    assert worker.process is not None
    with anyio.fail_after(60):
        while not any(f"{tokens} tokens" in line for line in worker.process.log()):
            await anyio.sleep(0.02)


async def test_a_load_and_an_answer_are_learned_from(model: Model, tmp_path: Path) -> None:
    book = Book(tmp_path / "memory.json")
    tree = settings.Settings(engine=LIMITS, home=tmp_path)
    supervisor = Supervisor({"llama_cpp": LlamaCpp()}, tree, Tuning(tmp_path / "tuning.json"), book)
    try:
        async with new_session() as session, supervisor.lease(Claim(model)) as worker:
            prompt = "The sky over the bay is blue. " * 15
            asked = {"prompt": prompt, "max_tokens": 16, "ignore_eos": True}
            await answer(Upstream(worker, session), "/v1/completions", **asked)
            await told_of(worker, 16)
            placement = worker.facts()["placement"]
    finally:
        await supervisor.close()
    assert "gpu_layers" not in placement  # the engine has none here: nothing was said
    (seen,) = Speeds(tmp_path / "speeds.json").seen(LlamaCpp().build())
    assert seen.model == "m"
    assert seen.prefill > seen.decode > 0
    rows = json.loads((tmp_path / "memory.json").read_text())["measured"]
    assert [row["model"] for row in rows.values()] == ["m"]
    learned = Book(tmp_path / "memory.json").correction("llama_cpp")
    assert (learned.models, learned.samples) == (1, 1)
    ask = replace(of_model(model, LIMITS), decode=seen.decode, prefill=seen.prefill)
    fit = predict(ask, machine(), Correction(memory=learned))
    (row,) = rows.values()
    assert fit.memory.middle == pytest.approx(row["held"], rel=0.1)
    assert fit.decode_first and fit.decode_first.middle == pytest.approx(seen.decode, rel=0.2)
