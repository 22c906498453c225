"""The supervisor with the real engine: want of memory, and files that do not load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from noibo import settings
from noibo.engines.engine import Launch, Model, Speed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.book import Book
from noibo.engines.memory.size import Need, Size
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.engines.worker import State, Worker
from noibo.errors import WorkerStartFailed
from noibo.modelstore.gguf.model_info import inspect_model

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]


class Forgetful(LlamaCpp):
    """Estimates a need without the state of conversations, so that the process is allowed too
    little for it: the engine itself runs out of memory."""

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        return replace(super().need(model, size, limits), kv=0, kept=0)

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        launch = super().launch(model, size, limits, speed)
        return replace(launch, need=replace(launch.need, kv=0, kept=0))


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def supervisor(engine: LlamaCpp, **limits: object) -> Supervisor:
        tree = settings.Settings(
            home=tmp_path,
            engine=replace(settings.Engine(), **limits),
            memory=settings.Memory(conversations="0MB"),
        )
        tuning, book = Tuning(tmp_path / "tuning.json"), Book(tmp_path / "book.json")
        made.append(Supervisor({"llama_cpp": engine}, tree, tuning, book))
        return made[-1]

    yield supervisor
    for one in made:
        await one.close()


def smollm2(path: Path, name: str = "smollm2") -> Model:
    info = inspect_model(path)
    return Model(
        name,
        "llama_cpp",
        path=path,
        parameters=info.parameters,
        trained_context=info.context_length or 0,
        info=info,
        bytes=path.stat().st_size,
    )


async def ask(worker: Worker) -> str:
    async with new_session() as session:
        upstream = Upstream(worker, session)
        body: dict[str, object] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        fields = {k: msgspec.Raw(msgspec.json.encode(v)) for k, v in body.items()}
        worker.engine.prepare(fields, streamed=True)
        async with upstream.generate("/v1/chat/completions", fields) as response:
            return b"".join([chunk async for chunk in upstream.chunks(response)]).decode()


async def test_the_real_engine_out_of_memory_is_recognised_and_made_smaller(
    make: Callable[..., Supervisor], smollm2_gguf: Path
) -> None:
    supervisor = make(Forgetful(), ctx_size=8192, parallel=8)
    async with supervisor.lease(Claim(smollm2(smollm2_gguf))) as worker:
        placement = worker.facts()["placement"]
        assert placement["wanted"]["parallel"] == 8
        assert placement["parallel"] < 8
        assert "[DONE]" in await ask(worker)


@pytest.mark.shared
async def test_models_that_die_on_load_leave_one_that_runs_alone(
    make: Callable[..., Supervisor], smollm2_gguf: Path, shared: Path
) -> None:
    supervisor = make(LlamaCpp(), ctx_size=512, parallel=1)
    async with supervisor.lease(Claim(smollm2(smollm2_gguf))) as worker:
        for path in sorted((shared / "hostile" / "gguf").glob("own_*.gguf"))[:12]:
            bad = Model(path.stem, "llama_cpp", path=path, bytes=path.stat().st_size)
            with pytest.raises(WorkerStartFailed):
                await asyncio.wait_for(_lease(supervisor, bad), 60)
        assert worker.state is State.READY
        assert "[DONE]" in await ask(worker)


async def _lease(supervisor: Supervisor, model: Model) -> None:
    async with supervisor.lease(Claim(model)):
        pass
