"""`require_gpu`: a load that no GPU takes part in fails, and says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import openai
import pytest

from noibo.engines.echo import Echo
from noibo.engines.engine import Model, Verb
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.llama_cpp.offload import Device
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.placement import placed
from noibo.engines.supervision.gpu_required import advice, require_part, with_gpu
from noibo.engines.supervision.plan import Plan, Planner
from noibo.engines.tuning import Tuning
from noibo.errors import GpuMissing
from noibo.hardware import offload
from noibo.hardware.machine import Gpu
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.settings import Engine, ModelSettings, Settings
from tests.running import RunningServer

GIB = 2**30
CARD = Gpu("NVIDIA GeForce RTX 3090", "nvidia", 24 * GIB)
INSIDE = Gpu("Intel graphics (a7a0)", "intel", 8 * GIB, shared_memory=True)
REQUIRED = Settings(engine=Engine(require_gpu=True))


def planned(tree: Settings, home: Path, path: Path, *devices: Device) -> Plan:
    engines = {"llama_cpp": LlamaCpp(lambda: devices), "echo": Echo()}
    book, tuning = Book(home / "memory.json"), Tuning(home / "tuning.json")
    planner = Planner(engines, tree, tuning, book, Machine())
    info = inspect_model(path)
    model = Model("m", "llama_cpp", path, info.parameters, info.context_length or 0, info=info)
    return planner.plan(replace(model, bytes=path.stat().st_size))


def nothing() -> offload.Usable:
    return offload.Usable()


def why() -> str:
    return "`noibo engines install cuda`"


def test_a_load_on_the_processor_alone_fails_with_what_to_do(
    home: Path, smollm2_gguf: Path
) -> None:
    with pytest.raises(GpuMissing) as caught:
        with_gpu(planned(REQUIRED, home, smollm2_gguf), why)
    assert caught.value.next_step == why()
    assert "m would run on the processor alone" in caught.value.message


def test_with_a_gpu_it_is_planned_as_ever(home: Path, smollm2_gguf: Path) -> None:
    plan = planned(REQUIRED, home, smollm2_gguf, Device("CUDA0", 24 * GIB))
    assert with_gpu(plan, why).rungs == plan.rungs


def test_sizes_that_no_gpu_has_room_for_are_left_out(home: Path, smollm2_gguf: Path) -> None:
    plan = planned(REQUIRED, home, smollm2_gguf, Device("CUDA0", 24 * GIB))
    first, *others = plan.rungs
    beside = replace(first.launch, placement={**first.launch.placement, "device": "cpu"})
    mixed = replace(plan, rungs=(replace(first, launch=beside), *others))
    assert with_gpu(mixed, why).rungs == tuple(others)


def test_it_is_asked_for_one_model_or_let_off_for_one(home: Path, smollm2_gguf: Path) -> None:
    one = Settings(models={"m": ModelSettings(require_gpu=True)})
    assert planned(one, home, smollm2_gguf).limits.require_gpu
    but_one = replace(REQUIRED, models={"m": ModelSettings(require_gpu=False)})
    plan = planned(but_one, home, smollm2_gguf)
    assert with_gpu(plan, why) is plan


def test_what_is_no_model_on_this_machines_processor_is_let_through(
    home: Path, smollm2_gguf: Path
) -> None:
    plan = planned(REQUIRED, home, smollm2_gguf)
    scoring = replace(plan, model=replace(plan.model, verb=Verb.SCORE))
    assert with_gpu(scoring, why) is scoring


def test_what_the_engines_log_says_is_believed() -> None:
    require_part("m", {"device": "gpu"}, nothing)
    require_part("m", {"devices": {"cpu": {"layers": 2}, "CUDA0": {"layers": 28}}}, nothing)
    with pytest.raises(GpuMissing, match="the processor's memory alone"):
        require_part("m", {"devices": {"cpu": {"layers": 30}}}, nothing)


def test_a_gpu_that_only_computes_is_no_part_in_it() -> None:
    computes = {"cpu": {"weights": 5}, "CUDA0": {"compute": 5}}
    with pytest.raises(GpuMissing):
        require_part("m", {"devices": computes}, nothing)
    require_part("m", {"devices": {"cpu": {"weights": 5}, "CUDA0": {"weights": 1}}}, nothing)
    repacked = placed(["load_tensors:          AMX model buffer size =   400.00 MiB"])
    assert repacked["device"] == "cpu"
    with pytest.raises(GpuMissing):
        require_part("m", repacked, nothing)


def test_what_is_measured_with_layers_on_a_gpu_is_not_expected_without(
    home: Path, smollm2_gguf: Path
) -> None:
    on_gpu = planned(Settings(), home, smollm2_gguf, Device("CUDA0", 24 * GIB)).rungs[0]
    Book(home / "memory.json").measured(on_gpu.key, "llama_cpp", on_gpu.need, 1000, "m")
    again = planned(Settings(), home, smollm2_gguf, Device("CUDA0", 24 * GIB)).rungs[0]
    without = planned(Settings(), home, smollm2_gguf).rungs[0]
    assert again.expected == 1000
    assert without.expected > 100 * 2**20
    assert without.key != on_gpu.key


@pytest.mark.parametrize(
    ("found", "usable", "words"),
    [
        ((), offload.Usable(), "No GPU was seen here"),
        ((CARD,), offload.Usable(), "`noibo engines install cuda`"),
        ((CARD,), offload.Usable((offload.Device("CUDA0", "x", 24 * GIB, GIB),)), "1.0 GiB free"),
        ((INSIDE,), offload.Usable(), "part of the processor"),
        ((CARD,), offload.Usable(problem="x\ndriver too old", code=1), "(driver too old)"),
    ],
)
def test_the_next_step_goes_by_what_there_is(
    found: tuple[Gpu, ...], usable: offload.Usable, words: str
) -> None:
    said = advice(found, lambda: usable)
    assert words in said
    assert "engine.require_gpu = false" in said


@pytest.mark.heavy
def test_a_request_is_told(home: Path, model_store: Path) -> None:
    environ = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_ENGINE_REQUIRE_GPU": "true"}
    with RunningServer(home, **environ) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.InternalServerError) as caught:
            client.completions.create(model="smollm2:135m", prompt="Hello")
        assert caught.value.status_code == 503
        assert caught.value.code == "gpu_missing"
        assert "require_gpu" in str(caught.value)
