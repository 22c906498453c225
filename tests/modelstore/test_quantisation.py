from __future__ import annotations

import pytest

from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.gguf.ggml_types import FILE_TYPES, TYPES


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("q4-k-m", "Q4_K_M"),
        ("q4_K", "Q4_K_M"),
        ("q4", "Q4_K_M"),
        ("4bit", "Q4_K_M"),
        ("4-bit", "Q4_K_M"),
        ("int4", "Q4_K_M"),
        ("q8", "Q8_0"),
        ("int8", "Q8_0"),
        ("q5", "Q5_K_M"),
        ("q6", "Q6_K"),
        ("q3", "Q3_K_M"),
        ("q2", "Q2_K"),
        ("fp16", "F16"),
        ("F16", "F16"),
        ("bf16", "BF16"),
        ("fp32", "F32"),
        ("mxfp4", "MXFP4"),
        ("iq4_xs", "IQ4_XS"),
    ],
)
def test_what_people_type_means_a_quantisation(typed: str, means: str) -> None:
    assert q.parse(typed)[0] == means
    assert q.looks_like_one(typed)


def test_a_width_means_any_of_so_many_bits_and_a_name_only_itself() -> None:
    assert {"Q4_K_M", "Q4_0", "IQ4_XS", "MXFP4"} <= set(q.parse("q4"))
    assert q.parse("Q4_0") == ("Q4_0",)
    assert q.parse("fp16") == ("F16", "BF16")


@pytest.mark.parametrize("typed", ["8b", "instruct", "latest", "text", "13b-chat", "a3b", ""])
def test_a_size_or_a_variant_is_no_quantisation(typed: str) -> None:
    assert q.parse(typed) == ()
    assert not q.looks_like_one(typed)


@pytest.mark.parametrize("typed", ["q9", "Q4_X", "awq", "GPTQ", "exl2", "fp4", "iq7_m", "nf4"])
def test_a_quantisation_that_is_not_known_is_recognised_as_one(typed: str) -> None:
    assert q.parse(typed) == ()
    assert q.looks_like_one(typed)


def test_every_name_that_a_file_can_have_is_understood() -> None:
    assert [name for name in FILE_TYPES.values() if not q.parse(name)] == []


def test_bits_of_a_file_are_near_those_of_its_type() -> None:
    for kind in TYPES.values():
        known = q.QUANTISATIONS.get(kind.name)
        if known is not None:
            assert kind.bits_per_element <= known.bits + 0.01
            assert known.bits <= kind.bits_per_element + 0.6


def test_memory_of_a_model_is_its_weights_times_their_bits() -> None:
    assert q.memory(8_030_261_248, "Q8_0") == pytest.approx(8.54e9, rel=0.01)
    assert q.memory(8_030_261_248, "Q4_K_M") == pytest.approx(4.92e9, rel=0.01)
    assert q.memory(8_030_261_248, "F16") == pytest.approx(16.07e9, rel=0.01)


def test_names_are_ordered_from_many_bits_to_few() -> None:
    assert q.ordered(["Q4_0", "Q8_0", "F16", "Q2_K"]) == ["F16", "Q8_0", "Q4_0", "Q2_K"]
