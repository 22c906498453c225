"""Whose layers are known, whose are guessed, and what both come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo.engines.fit import shapes
from noibo.engines.fit.fit import predict
from noibo.modelstore.gguf.state_shape import LayerState
from tests.engines.fit.machines import machine
from tests.engines.fit.test_fit import known
from tests.engines.test_memory_states import states

DELTA = {
    "attention__key_length": 256,
    "attention__value_length": 256,
    "ssm__state_size": 128,
    "ssm__group_count": 16,
    "ssm__conv_kernel": 4,
    "full_attention_interval": 4,
}
GEMMA = {
    "attention__key_length": 512,
    "attention__value_length": 512,
    "attention__key_length_swa": 256,
    "attention__value_length_swa": 256,
}


def state_of(name: str, parameters: int, active: int = 0) -> set[LayerState]:
    shape, how = shapes.find(name, parameters, active)
    assert how == "shape"
    return set(shapes.described(shape, parameters, "Q4_K_M", 262_144).state)


def test_three_of_four_layers_of_qwen35_keep_a_state_of_fixed_size() -> None:
    fit = predict(known("qwen3.5:4b", 32_768), machine(256))
    assert fit.ask.known == "shape"
    keys = 8 * 2 * 4 * 256 * 2 * 32_768  # layers, keys and values, heads, their length, f16
    fixed = 24 * (3 * (4096 + 2 * 2048) + 128 * 4096) * 4
    assert dict(fit.parts)["KV cache"] == keys + fixed == pytest.approx(1.13e9, rel=0.01)


@pytest.mark.parametrize(
    ("name", "architecture", "facts"),
    [
        (
            ("qwen3.5:4b", 4_660_000_000),
            "qwen35",
            {"block_count": 32, "attention__head_count_kv": 4, "ssm__inner_size": 4096, **DELTA},
        ),
        (
            ("qwen3.6:27b", 27_780_000_000),
            "qwen35",
            {"block_count": 64, "attention__head_count_kv": 4, "ssm__inner_size": 6144, **DELTA},
        ),
        (
            ("qwen3.5:122b", 125_090_000_000, 10_000_000_000),
            "qwen35moe",
            {"block_count": 48, "attention__head_count_kv": 2, "ssm__inner_size": 8192, **DELTA},
        ),
        (
            ("gemma4:12b", 12_000_000_000),
            "gemma4",
            {
                "block_count": 48,
                "attention__head_count_kv": [8, 8, 8, 8, 8, 1] * 8,
                "attention__sliding_window": 1024,
                "attention__sliding_window_pattern": [1, 1, 1, 1, 1, 0] * 8,
                **GEMMA,
            },
        ),
        (
            ("gemma4:e2b", 5_100_000_000),
            "gemma4",
            {
                "block_count": 35,
                "attention__head_count_kv": 1,
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [1, 1, 1, 1, 0] * 7,
                "attention__shared_kv_layers": 20,
                **GEMMA,
            },
        ),
        (
            ("ministral-3:8b", 8_900_000_000),
            "mistral3",
            {
                "block_count": 34,
                "attention__head_count_kv": 8,
                "attention__key_length": 128,
                "attention__value_length": 128,
            },
        ),
    ],
)
def test_a_shape_keeps_what_the_header_of_such_a_file_says(
    tmp_path: Path,
    name: tuple[str, int],
    architecture: str,
    facts: dict[str, int | list[int]],
) -> None:
    assert state_of(*name) == set(states(tmp_path, architecture, **facts))


def test_a_family_is_known_by_its_whole_name() -> None:
    for same, other in (("qwen3-vl:8b", "qwen3:8b"), ("llama3.3:70b", "llama3:70b")):
        (shape, how), count = shapes.find(other, 0), shapes.KNOWN[other][0]
        assert shapes.find(same, round(1.05 * count)) == (shape, how) == (shape, "shape")
    for strange in ("qwen9:8b", "qwen3.7:8b", "qwen:8b", "gemma5:12b", "llama4:8b", "gemma3n:8b"):
        assert shapes.find(strange, 8_100_000_000)[1] == "size"
    assert shapes.find("qwen3-next:80b", 80_000_000_000, 3_000_000_000)[1] == "size"


def test_what_has_just_as_many_parameters_is_made_of_it() -> None:
    for name, of in (("seallm:7b", "qwen2.5:7b"), ("deepseek-r1:671b", "deepseek-v3:671b")):
        count, shape = shapes.KNOWN[of]
        assert shapes.find(name, count, 37_000_000_000 if shape.experts else 0) == (shape, "shape")
    assert shapes.find("new:12b", 12_000_000_000)[1] == "size"  # a round number proves nothing


def test_a_guess_is_of_layers_that_see_all_and_is_in_doubt_by_their_state() -> None:
    for billions in range(1, 40):
        shape, _ = shapes.find("new", billions * 10**9)
        assert shape.plain
    short, long = (predict(known("gemma3n:e4b", tokens), machine(256)) for tokens in (256, 32_768))
    assert short.ask.known == "size"
    doubts = [fit.memory.high / fit.memory.middle for fit in (short, long)]
    assert 1.3 < doubts[0] < doubts[1]
    sure = predict(known("qwen3:8b", 32_768), machine(256))
    assert sure.memory.high / sure.memory.middle == pytest.approx(1.2)


def test_what_is_looked_up_layer_by_layer_is_not_multiplied_with() -> None:
    info = known("gemma4:e4b").model.info
    assert info is not None
    assert sum(info.matrices.values()) == pytest.approx(
        info.tensor_bytes * (1 - 42 * 256 * 262_144 / 8e9), rel=0.01
    )
