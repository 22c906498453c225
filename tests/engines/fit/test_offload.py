"""Which layers go where, and what the worker is told of it."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from noibo import settings
from noibo.engines.engine import Model, Speed, Verb
from noibo.engines.fit.ask import of_model
from noibo.engines.fit.fit import predict
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.llama_cpp.devices import EngineDevices
from noibo.engines.llama_cpp.offload import (
    DRIVER,
    MIB,
    Device,
    Load,
    Offload,
    left,
    load_of,
    place,
)
from noibo.engines.llama_cpp.process import _params
from noibo.engines.memory.size import Need, Size
from noibo.hardware.cards import by_name
from noibo.hardware.offload import Device as Named
from noibo.hardware.offload import Usable
from tests.engines.fit.machines import machine
from tests.engines.fit.small_headers import header, model

GB = 10**9
LIMITS = settings.Engine(threads=2)
# 32 layers of 140 MB with their state, a vocabulary of 400 MB: as a model of 7 billion.
LOAD = Load(32, 4 * GB, 480_000_000, 400_000_000, 400_000_000, 50_000_000)


def card(gigabytes: float, name: str = "CUDA0") -> Device:
    return Device(name, int(gigabytes * GB))


def test_all_fits_on_a_card_that_is_large_enough() -> None:
    found = place(LOAD, [card(12)])
    assert (found.layers, found.whole, found.main_gpu, found.split) == (33, True, 0, ())
    assert found.devices[0].layers == 32
    assert found.devices[0].bytes == pytest.approx(4.93 * GB, rel=0.01)


def test_as_many_layers_as_fit_beside_the_scores() -> None:
    found = place(LOAD, [card(4)])
    assert 1 < found.layers < 33
    assert found.layers == found.devices[0].layers + 1  # llama.cpp sends the scores first
    assert not found.whole
    assert found.devices[0].bytes + DRIVER < 4 * GB
    one_more = found.devices[0].bytes + LOAD.a_layer + DRIVER
    assert one_more > 4 * GB * 0.97


def test_a_card_without_room_gets_nothing() -> None:
    for room in (0, 0.3, 0.5):
        assert place(LOAD, [card(room)]).layers == 0
    assert place(LOAD, []).layers == 0


def test_two_cards_share_what_one_cannot_hold() -> None:
    found = place(LOAD, [card(4), card(3, "CUDA1")])
    assert found.whole
    assert sum(one.layers for one in found.devices) == 32
    assert found.devices[0].layers > found.devices[1].layers > 0
    assert found.main_gpu == 0
    assert found.split == (found.devices[0].layers, found.devices[1].layers + 1)  # the scores


def sent(found: Offload) -> list[int]:
    """How many layers, and the scores as one more behind the last, llama.cpp puts on each GPU."""
    ends = [end / sum(found.split) for end in itertools.accumulate(found.split)]
    there = [bisect.bisect_right(ends, i / found.layers) for i in range(found.layers)]
    return [there.count(i) for i in range(len(found.split))]


@pytest.mark.parametrize("size", [2.0, 2.5, 3.21])
def test_two_equal_cards_get_what_was_placed_on_them(size: float) -> None:
    cards = [card(size), card(size, "CUDA1")]
    found = place(LOAD, cards)
    first, last = found.devices
    assert sent(found) == [first.layers, last.layers + 1]
    for one, device in zip(found.devices, cards, strict=True):
        assert one.bytes + DRIVER <= device.free


def test_two_equal_cards_just_large_enough_hold_it_all() -> None:
    found = place(LOAD, [card(3.21), card(3.21, "CUDA1")])
    assert (found.layers, found.whole) == (33, True)
    assert sent(found) == [18, 15]  # 14 layers, and the scores where room was left for them
    assert not place(LOAD, [card(3.1), card(3.1, "CUDA1")]).whole


def test_scores_are_not_sent_where_they_have_no_room() -> None:
    found = place(LOAD, [card(4), card(0.9, "CUDA1")])  # layers would fit on the second
    assert [one.layers > 0 for one in found.devices] == [True, False]
    assert found.devices[0].bytes + DRIVER < 4 * GB


def test_a_projector_goes_to_the_first_gpu_whichever_the_layers_go_to() -> None:
    with_one = dataclasses.replace(LOAD, projector=GB)
    found = place(with_one, [card(3), card(24, "CUDA1")])
    assert [one.layers for one in found.devices] == [0, 32]
    assert found.devices[0].bytes == GB
    assert found.projector
    need = Need(weights=with_one.all_weights)
    assert left(need, with_one, found).weights == LOAD.fixed
    stays = place(with_one, [card(1), card(24, "CUDA1")])
    assert (stays.whole, stays.projector, stays.devices[0].bytes) == (True, False, 0)
    assert left(need, with_one, stays).weights == LOAD.fixed + GB


def test_a_model_that_fits_on_one_of_two_stays_there() -> None:
    found = place(LOAD, [card(3), card(24, "CUDA1")])
    assert [one.layers for one in found.devices] == [0, 32]
    assert found.split == (0.0, 33.0)
    assert found.main_gpu == 1


def test_a_projector_takes_its_place_once() -> None:
    with_one = dataclasses.replace(LOAD, projector=GB)
    small = [card(5.7)]
    assert place(LOAD, small).whole
    assert not place(with_one, small).whole
    two = place(with_one, [card(12), card(12, "CUDA1")])
    assert sum(one.bytes for one in two.devices) == place(LOAD, [card(12)]).devices[0].bytes + GB


def test_what_leaves_is_no_longer_wanted_of_the_memory() -> None:
    need = Need(weights=8 * GB, kv=480_000_000, compute=1, base=2, kept=3)  # copied: twice
    found = left(need, LOAD, place(LOAD, [card(12)]))
    assert found.weights == pytest.approx(8 * GB * 0.4 / 4.8, rel=0.01)  # the table of tokens
    assert (found.kv, found.compute, found.base, found.kept) == (0, 1, 2, 3)
    some = place(LOAD, [card(3)])
    half = left(need, LOAD, some)
    assert found.weights < half.weights < need.weights
    assert half.kv == pytest.approx(need.kv * (1 - some.devices[0].layers / 32), abs=2)
    assert left(need, LOAD, place(LOAD, [])) == need


def test_a_tied_vocabulary_is_copied_and_another_is_moved(tmp_path: Path) -> None:
    tied = load_of(model(tmp_path), Need(kv=10, compute=5))
    gguf = header().tensor("output.weight", (512, 1000), 1)
    own = load_of(model(tmp_path, gguf, "own"), Need(kv=10, compute=5))
    assert tied and own
    assert (tied.tied, own.tied) == (True, False)
    table = 512 * 1000 * 2
    assert tied.fixed == own.fixed == tied.scores == pytest.approx(table, rel=0.01)
    assert own.weights == pytest.approx(tied.weights, abs=4096)
    assert load_of(Model("m", "llama_cpp"), Need()) is None


# ── what the worker is told ─────────────────────────────────────────────────


def told(model: Model, *devices: Device, size: Size = Size(1024, 2)) -> dict[str, Any]:
    engine = LlamaCpp(lambda: devices)
    launch = engine.launch(model, size, LIMITS, Speed(64.0, measure=False))
    return {**launch.config, "api_key": "k", "need": launch.need, "placement": launch.placement}


def test_the_engine_is_given_layers_split_and_state(tmp_path: Path) -> None:
    one = model(tmp_path)
    room = DRIVER + 40 * MIB
    devices = (Device("CUDA0", room), Device("CUDA1", room + 600 * MIB))
    config = told(one, *devices, size=Size(1024, 2, "q8_0"))
    params = _params(xllamacpp, config)
    assert params.n_gpu_layers == 5  # 4, and the scores
    assert list(params.tensor_split)[:3] == [0.0, 5.0, 0.0]
    assert params.main_gpu == 1
    assert params.cache_type_k == xllamacpp.ggml_type.GGML_TYPE_Q8_0
    assert params.fit_params is False
    assert config["placement"]["gpu_layers"] == 5
    assert config["placement"]["device"] != "cpu"  # its memory is not bounded by what is there
    assert config["need"].kv == 0


def test_a_card_without_room_is_told_to_take_nothing(tmp_path: Path) -> None:
    config = told(model(tmp_path), Device("CUDA0", 100 * MIB))
    assert _params(xllamacpp, config).n_gpu_layers == 0  # left unsaid, it would take all
    assert config["placement"]["device"] == "cpu"


def test_without_a_gpu_nothing_is_said(tmp_path: Path) -> None:
    plain = xllamacpp.CommonParams()
    params = _params(xllamacpp, told(model(tmp_path)))
    assert params.n_gpu_layers == plain.n_gpu_layers
    assert params.main_gpu == plain.main_gpu
    assert list(params.tensor_split) == list(plain.tensor_split)


def test_memory_that_is_shared_is_still_wanted(tmp_path: Path) -> None:
    one = model(tmp_path)
    config = told(one, Device("Metal", 8 * GB, shared=True))
    assert _params(xllamacpp, config).n_gpu_layers == 5
    assert config["need"] == told(one)["need"]


def test_a_worker_that_scores_places_by_itself(tmp_path: Path) -> None:
    one = dataclasses.replace(model(tmp_path), verb=Verb.SCORE)
    assert told(one, card(12))["gpu"] == {}


def test_the_engine_is_asked_where_there_are_signs_of_a_gpu_and_not_each_time() -> None:
    asked, clock = [], [0.0]

    def ask() -> Usable:
        asked.append(clock[0])
        return Usable((Named("CUDA0", "RTX 3060", 12 * GB, 11 * GB), Named("MTL0", "M2", 9 * GB)))

    devices = EngineDevices(lambda: True, ask, lambda: clock[0])
    assert devices() == (Device("CUDA0", 11 * GB), Device("MTL0", 9 * GB, shared=True))
    devices()
    clock[0] = 60.0
    devices()
    assert asked == [0.0, 60.0]
    assert EngineDevices(lambda: False, ask)() == ()
    assert len(asked) == 2


def test_of_a_model_whose_header_says_too_little_nothing_goes_and_that_is_said() -> None:
    config = told(Model("m", "llama_cpp", Path("m.gguf"), bytes=GB), card(12))
    assert _params(xllamacpp, config).n_gpu_layers == 0
    assert (config["placement"]["device"], config["placement"]["gpu_layers"]) == ("cpu", 0)


def test_what_vectors_are_computed_in_is_wanted_on_the_gpu(tmp_path: Path) -> None:
    need = Need(weights=GB, kv=10, kept=3 * MIB)  # as `embed.need` has it
    embedding = load_of(dataclasses.replace(model(tmp_path), verb=Verb.EMBED), need)
    writing = load_of(model(tmp_path), need)
    assert embedding and writing
    assert (embedding.buffers, writing.buffers) == (3 * MIB, 0)


@pytest.mark.parametrize(
    ("description", "batch"), [("NVIDIA GeForce RTX 3060", 256), ("a card of next year", 128)]
)
def test_a_first_batch_is_as_large_as_the_gpu_reads_in_time(
    tmp_path: Path, description: str, batch: int
) -> None:
    one = dataclasses.replace(model(tmp_path), parameters=7 * GB)
    there = Usable((Named("CUDA0", description, 12 * 2**30, 11 * GB),))

    def chosen(devices: EngineDevices, rate: float | None) -> int:
        launch = LlamaCpp(devices).launch(one, Size(1024, 2), LIMITS, Speed(rate, measure=False))
        assert launch.config["batch"] == launch.placement["batch"]
        return int(launch.config["batch"])

    on_gpu = EngineDevices(lambda: True, lambda: there)
    assert chosen(on_gpu, None) == batch
    assert chosen(on_gpu, 20.0) == 8  # as measured
    assert chosen(EngineDevices(lambda: False, lambda: there), None) == 8
    tiny = Usable((Named("CUDA0", description, 12 * 2**30, 100 * MIB),))
    assert chosen(EngineDevices(lambda: True, lambda: tiny), None) == 8


def test_fit_and_the_worker_take_the_same_batch(tmp_path: Path) -> None:
    one = dataclasses.replace(model(tmp_path), parameters=7 * GB)
    gpu = by_name("RTX 3060")[0].gpu()
    there = Usable((Named("CUDA0", "RTX 3060", gpu.memory_bytes, gpu.memory_bytes),))
    engine = LlamaCpp(EngineDevices(lambda: True, lambda: there))
    launch = engine.launch(one, Size(1024, 2), LIMITS, Speed(None, measure=False))
    ask = dataclasses.replace(of_model(one, LIMITS), context=1024, parallel=2)
    assert predict(ask, machine(32, gpu)).batch == launch.config["batch"]


def test_what_is_free_is_asked_anew_when_a_worker_came_or_went() -> None:
    asked: list[Usable] = []

    def ask() -> Usable:
        asked.append(Usable((Named("CUDA0", "RTX 3060", 12 * GB, (12 - len(asked)) * GB),)))
        if len(asked) == 2:
            devices.forget()  # while it is asked
        return asked[-1]

    devices = EngineDevices(lambda: True, ask, lambda: 0.0)
    engine = LlamaCpp(devices)
    assert [devices()[0].free, devices()[0].free] == [12 * GB, 12 * GB]
    engine.look_again()
    assert [devices()[0].free for _ in range(3)] == [11 * GB, 10 * GB, 10 * GB]


def test_a_gpu_within_a_processor_takes_the_machines_memory() -> None:
    inside = Usable((Named("Vulkan0", "AMD Radeon 780M", 16 * GB, integrated=True),))
    assert EngineDevices(lambda: True, lambda: inside)()[0].shared
