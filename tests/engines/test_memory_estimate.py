"""What a worker takes, by its model's header: against the real engine, and by hand."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.estimate import (
    MIB,
    REORDERED,
    cache_mib,
    checkpoints,
    kv_bytes,
    need_of,
    step_back_bytes,
)
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.size import Size, Use
from noibo.engines.worker import Worker
from noibo.modelstore.gguf.model_info import ModelInfo, inspect_model
from noibo.modelstore.gguf.state_shape import LayerState

LIMITS = settings.Engine(threads=2)
WINDOWED = (LayerState(15, 256, 256, window=512), LayerState(3, 256, 256))


@pytest.fixture(scope="module")
def model(smollm2_gguf: Path) -> Model:
    info = inspect_model(smollm2_gguf)
    size = smollm2_gguf.stat().st_size
    return Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192, info=info, bytes=size)


def with_states(model: Model, *states: LayerState) -> ModelInfo:
    assert model.info is not None
    return dataclasses.replace(model.info, state=states)


@pytest.mark.anyio
async def test_the_real_worker_holds_what_was_estimated(model: Model, tmp_path: Path) -> None:
    assert model.path is not None
    alone = shutil.copy(model.path, tmp_path / "model.gguf")  # no other worker shares its pages
    model = dataclasses.replace(model, path=alone)
    size, engine = Size(2048, 2, "q8_0", kept_bytes=0), LlamaCpp()
    launch = engine.launch(model, size, LIMITS, Speed(64.0, measure=False))
    worker = Worker(engine, model, launch, LIMITS)
    await worker.start()
    try:
        assert worker.process is not None
        held = Machine().held_alone(worker.process.pid)  # others here share the libraries
        placement = worker.facts()["placement"]
    finally:
        await worker.stop()
        alone.unlink()
    assert abs(placement["devices"]["cpu"]["kv"] - launch.need.kv) < 0.01 * MIB  # as it rounds
    assert placement["devices"]["cpu"]["layers"] == 30
    assert placement["context"] == 2048
    assert abs(held - launch.need.at_start) < 0.1 * held


def test_keys_and_values_of_every_token_are_counted(model: Model) -> None:
    assert model.info is not None
    a_token = 30 * 2 * 3 * 64  # layers, key and value, heads, their length
    assert kv_bytes(model.info, Size(4096, 4), 64) == a_token * 4096 * 4 * 2
    assert kv_bytes(model.info, Size(4096, 4, "q8_0"), 64) == a_token * 4096 * 4 * 34 // 32
    assert kv_bytes(model.info, Size(1000, 1), 64) == a_token * 1024 * 2  # in 256s


def test_a_layer_with_a_window_holds_the_window_and_a_batch(model: Model) -> None:
    info = with_states(model, *WINDOWED)
    assert kv_bytes(info, Size(2048, 4), 64) == 69 * MIB  # as llama.cpp says of Gemma 3 270M
    assert kv_bytes(info, Size(8192, 1), 512) == (24 + 15) * MIB
    assert kv_bytes(info, Size(512, 1), 2048) == 18 * 512 * 1024


def test_a_recurrent_layer_holds_the_same_whatever_the_length(model: Model) -> None:
    info = with_states(model, LayerState(10, 0, 0, fixed=MIB))
    assert kv_bytes(info, Size(512, 3), 64) == kv_bytes(info, Size(8192, 3), 64) == 30 * MIB


def test_weights_that_are_put_into_another_order_count_twice(model: Model) -> None:
    assert model.info is not None
    kind = min(REORDERED)
    changed = dataclasses.replace(model.info, matrices={kind: 50 * MIB, "Q5_1": 20 * MIB})
    plain = dataclasses.replace(model.info, matrices={})
    more, less = (
        need_of(dataclasses.replace(model, info=info), Size(512, 1), 64).weights
        for info in (changed, plain)
    )
    assert more - less == 50 * MIB


def test_what_comes_with_a_model_is_not_put_into_another_order(
    model: Model, tmp_path: Path
) -> None:
    assert model.info is not None
    all_of_it = {min(REORDERED): model.info.tensor_bytes}
    reordered = dataclasses.replace(model, info=dataclasses.replace(model.info, matrices=all_of_it))
    projector, adapter = tmp_path / "p.gguf", tmp_path / "a.gguf"
    projector.write_bytes(bytes(40 * MIB))
    adapter.write_bytes(bytes(10 * MIB))
    more = dataclasses.replace(
        reordered,
        projector=projector,
        adapters=(adapter,),
        bytes=model.bytes + 50 * MIB,
    )
    plain, with_them = (need_of(one, Size(512, 1), 64).weights for one in (reordered, more))
    assert with_them - plain == 50 * MIB


def test_all_parts_count(model: Model) -> None:
    assert model.info is not None
    whole = dataclasses.replace(model, bytes=3 * model.bytes)
    more = need_of(whole, Size(512, 1), 64).weights - need_of(model, Size(512, 1), 64).weights
    assert more >= 2 * model.bytes


def test_a_model_without_a_readable_header_is_guessed_by_its_size() -> None:
    model = Model("m", "llama_cpp", bytes=4_000_000_000)
    need = LlamaCpp().need(model, Size(4096, 1), LIMITS)
    assert 1.1 * model.bytes < need.at_start < 1.5 * model.bytes
    sizes = LlamaCpp().sizes(model, LIMITS, Use(), 0)
    assert all(size.kv_type == "f16" for size in sizes)


def test_kept_state_takes_no_more_than_it_may(model: Model) -> None:
    info = with_states(model, *WINDOWED)
    one = step_back_bytes(info, Size(2048, 4))
    assert one == 15 * 512 * 1024
    for kept in (0, 10 * MIB, 40 * MIB, 200 * MIB, 2000 * MIB):
        size = Size(2048, 4, kept_bytes=kept)
        spent = 4 * checkpoints(info, size) * one + cache_mib(info, size) * MIB
        assert spent <= kept
    assert checkpoints(info, Size(2048, 4, kept_bytes=200 * MIB)) == 2


def test_a_conversation_is_not_kept_where_nothing_of_it_could_be_used(model: Model) -> None:
    info = with_states(model, *WINDOWED)
    assert cache_mib(info, Size(2048, 4, kept_bytes=10 * MIB)) == 0  # no room for a checkpoint
    assert cache_mib(model.info, Size(2048, 4, kept_bytes=10 * MIB)) == 10


def test_one_conversation_is_always_kept_whole(model: Model) -> None:
    size = Size(8192, 2, kept_bytes=10 * MIB)
    assert need_of(model, size, 64).kept == need_of(model, size, 64).kv // 2
