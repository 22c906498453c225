"""Checkpoints in AWQ and GPTQ: as large as they really are, and only on cards that vLLM runs them
on."""

from __future__ import annotations

import functools

import pytest

from noibo.engines.fit.ask import Ask
from noibo.engines.recommend import served
from noibo.engines.recommend.candidate import PROJECTOR_BYTES, Candidate, Wanted, candidates
from noibo.engines.recommend.ranking import Pick, rank
from noibo.engines.recommend.reasons import reasons
from noibo.engines.recommend.recommendation import predictor
from noibo.hardware.described import described
from noibo.modelstore.catalog import load

GB = 10**9
WANTED = Wanted("chat", 4096, engines=frozenset({"vllm"}))


@functools.cache
def variants() -> tuple[Candidate, ...]:
    return tuple(candidates(load(), WANTED))


def asked(name: str, quantisation: str = "AWQ") -> Ask:
    return next(
        one.ask for one in variants() if (one.model.name, one.quantisation) == (name, quantisation)
    )


def picks(machine: str, quantisation: str) -> list[Pick]:
    found = [one for one in variants() if one.quantisation == quantisation]
    return rank(found, described(machine), WANTED, predictor())


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("qwen2.5:0.5b", 0.46),
        ("qwen2.5:7b", 5.57),
        ("qwen2.5:14b", 9.98),
        ("qwen2.5:32b", 19.34),
        ("qwen2.5:72b", 41.5),
        ("qwen3:4b", 2.67),
        ("qwen3:8b", 6.1),
        ("llama3.1:8b", 5.73),
        ("llama2:7b", 3.89),
    ],
)
def test_a_checkpoint_is_as_large_as_its_files(name: str, gigabytes: float) -> None:
    assert asked(name).model.bytes / GB == pytest.approx(gigabytes, rel=0.02)


def test_what_reads_pictures_is_loaded_for_words_too() -> None:
    ask = asked("qwen2.5vl:7b")
    assert ask.projector_bytes == PROJECTOR_BYTES
    assert ask.model.bytes / GB == pytest.approx(6.9, rel=0.05)


def test_nothing_is_recommended_that_vllm_could_not_load() -> None:
    """14B in AWQ is 10.0 GB: with a GB and its conversations it is over 0.9 of 12 GB."""
    for machine in ("RTX 3060 12GB, 32GB", "T4 16GB, 64GB", "RTX 3090, 64GB", "A100 40GB, 128GB"):
        hardware = described(machine)
        for pick in picks(machine, "AWQ"):
            weights = pick.candidate.ask.model.bytes
            assert weights + GB < pick.on_gpus <= 0.9 * hardware.gpus[0].memory_bytes
    small = {pick.candidate.model.name for pick in picks("RTX 3060 12GB, 32GB", "AWQ")}
    assert "qwen2.5:7b" in small or "qwen3:8b" in small
    assert not small & {"qwen2.5:14b", "qwen3:14b"}


@pytest.mark.parametrize(
    ("machine", "awq", "gptq"),
    [
        ("GTX 1080 Ti, 32GB", False, False),
        ("P40, 64GB", False, False),
        ("P100 16GB, 64GB", False, False),
        ("V100 32GB, 64GB", False, True),
        ("T4, 64GB", True, True),
        ("RTX 2080 Ti, 32GB", True, True),
        ("GPU 24GB, 64GB", True, True),
        ("RTX 3090 + P40, 64GB", False, False),
        ("RX 7900 XTX, 64GB", False, False),
        ("64GB", False, False),
    ],
)
def test_a_format_is_for_cards_of_a_generation_that_runs_it(
    machine: str, awq: bool, gptq: bool
) -> None:
    assert (bool(picks(machine, "AWQ")), bool(picks(machine, "GPTQ"))) == (awq, gptq)


def test_over_two_cards_each_layer_is_divided_and_the_setting_is_said() -> None:
    hardware = described("2x RTX 3090, 64GB")
    fit = predictor()(asked("qwen2.5:72b"), hardware)
    found = served.on_cards(fit, "AWQ", hardware)
    assert found is not None
    assert [one.layers for one in found.offload.devices] == [80, 80]
    assert len({one.bytes for one in found.offload.devices}) == 1
    assert served.left(found, hardware) >= 0
    found_picks = picks("2x RTX 3090, 64GB", "AWQ")
    pick = next(one for one in found_picks if one.candidate.name.endswith("72B-Instruct-AWQ"))
    assert "tensor_parallel = 2" in reasons(pick)["engine"]
    assert "tensor_parallel = 2" in reasons(pick, "vi")["engine"]


def test_what_one_card_holds_is_not_divided() -> None:
    hardware = described("2x RTX 3090, 64GB")
    fit = predictor()(asked("qwen2.5:7b"), hardware)
    found = served.on_cards(fit, "AWQ", hardware)
    assert found is not None
    assert [bool(one.bytes) for one in found.offload.devices] == [True, False]


def test_what_is_taken_and_what_is_left_are_of_the_card() -> None:
    (gpu,) = described("RTX 3090, 64GB").gpus
    for pick in picks("RTX 3090, 64GB", "AWQ"):
        assert pick.takes + pick.spare == pytest.approx(0.9 * gpu.memory_bytes, abs=1)
