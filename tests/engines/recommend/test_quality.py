"""What is expected of a model without a test of it: order, not numbers."""

from __future__ import annotations

import itertools

import pytest

from noibo.engines.recommend.candidate import OFFERED, OLDER
from noibo.engines.recommend.quality import loss, quality, years
from noibo.modelstore.catalog import Model, load
from noibo.modelstore.reference import Reference


def model(name: str) -> Model:
    return load().require(Reference.parse(name)).model


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("qwen2.5:14b", "qwen2.5:7b"),
        ("qwen3:8b", "qwen2.5:7b"),
        ("llama3.1:8b", "llama2:13b"),
        ("qwen3:4b", "llama2:7b"),
        ("qwen3:14b", "qwen3:30b-a3b"),  # 30B of which 3B work are as about 10B that all do
        ("qwen3:30b-a3b", "qwen3:8b"),
        ("gpt-oss:20b", "mistral:7b"),
    ],
)
def test_larger_and_newer_is_better_and_a_mixture_counts_for_less(better: str, worse: str) -> None:
    assert quality(model(better), "Q4_K_M") > quality(model(worse), "Q4_K_M")


def test_fewer_bits_never_lose_less() -> None:
    qwen = model("qwen2.5:7b")
    lost = [
        loss(qwen, name) for name in ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
    ]
    assert all(one <= other for one, other in itertools.pairwise(lost))
    assert lost[0] == lost[1] == 0.0
    assert lost[4] < 0.3 < lost[5]


def test_a_larger_model_in_four_bits_beats_half_of_it_in_eight() -> None:
    assert quality(model("qwen2.5:14b"), "Q4_K_M") > quality(model("qwen2.5:7b"), "Q8_0")


def test_what_was_trained_in_its_bits_loses_hardly_anything() -> None:
    assert loss(model("gemma3:27b-it-qat"), "Q4_0") < loss(model("gemma3:27b"), "Q4_0")
    assert loss(model("gpt-oss:20b"), "MXFP4") < 0.1


def test_every_format_that_is_offered_has_a_loss() -> None:
    qwen = model("qwen2.5:7b")
    assert all(0 <= loss(qwen, name) < 4 for name in (*OFFERED, *OLDER, "AWQ", "GPTQ"))


def test_days_and_months_of_release() -> None:
    assert years("2023-01-15") == 0.0
    assert years("2026-04") == pytest.approx(3.25)
