"""What the header says of what each layer keeps, whatever the architecture says it with."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.gguf.state_shape import LayerState
from tests.modelstore.gguf_builder import BOOL, STRING, U32, Gguf


def states(tmp_path: Path, architecture: str, **keys: int | list[int]) -> tuple[LayerState, ...]:
    file = Gguf().key("general.architecture", STRING, architecture)
    shape: dict[str, int | list[int]] = {"block_count": 12, "embedding_length": 512}
    for name, value in {**shape, "attention__head_count": 8, **keys}.items():
        key = f"{architecture}." + name.replace("__", ".")
        if isinstance(value, list):
            file.list_key(key, BOOL if set(value) <= {0, 1} else U32, value)
        else:
            file.key(key, U32, value)
    path = tmp_path / "model.gguf"
    path.write_bytes(file.bytes())
    return inspect_model(path).state


def test_plain_layers_are_alike(tmp_path: Path) -> None:
    assert states(tmp_path, "llama") == (LayerState(12, 512, 512),)
    assert states(tmp_path, "llama", attention__head_count_kv=2) == (LayerState(12, 128, 128),)


def test_heads_may_differ_by_layer(tmp_path: Path) -> None:
    heads = [4] * 6 + [2] * 6
    assert states(tmp_path, "openelm", attention__head_count_kv=heads) == (
        LayerState(6, 256, 256),
        LayerState(6, 128, 128),
    )


@pytest.mark.parametrize(
    ("architecture", "windowed"),
    [("gemma3", 10), ("gemma2", 6), ("gpt-oss", 6), ("laguna", 9), ("never-heard-of", 0)],
)
def test_the_architecture_says_which_layers_have_a_window(
    tmp_path: Path, architecture: str, windowed: int
) -> None:
    found = states(tmp_path, architecture, attention__sliding_window=1024)
    assert sum(one.layers for one in found if one.window == 1024) == windowed
    assert sum(one.layers for one in found) == 12


def test_the_header_may_say_which_layers_have_a_window(tmp_path: Path) -> None:
    which = [1, 1, 0] * 4
    found = states(
        tmp_path,
        "gemma4",
        attention__sliding_window=512,
        attention__sliding_window_pattern=which,
        attention__key_length=128,
        attention__value_length=128,
        attention__key_length_swa=64,
        attention__value_length_swa=64,
        attention__shared_kv_layers=3,
    )
    assert found == (LayerState(6, 512, 512, window=512), LayerState(3, 1024, 1024))


def test_a_latent_state_has_no_values_of_its_own(tmp_path: Path) -> None:
    latent = {"attention__key_length": 576, "attention__value_length": 512}
    mla = {"attention__key_length_mla": 192, "attention__value_length_mla": 128}
    found = states(tmp_path, "deepseek2", attention__head_count_kv=1, **latent, **mla)
    assert found == (LayerState(12, 576, 0),)


def test_recurrent_layers_keep_a_state_of_fixed_size(tmp_path: Path) -> None:
    ssm = {"ssm__inner_size": 1024, "ssm__state_size": 16, "ssm__conv_kernel": 4}
    fixed = (3 * 1024 + 16 * 1024) * 4
    assert states(tmp_path, "mamba", attention__head_count_kv=0, **ssm) == (
        LayerState(12, 0, 0, fixed=fixed),
    )
    assert states(tmp_path, "qwen3next", attention__head_count_kv=2, **ssm) == (
        LayerState(9, 0, 0, fixed=fixed),
        LayerState(3, 128, 128),
    )
    assert states(tmp_path, "falcon-h1", attention__head_count_kv=2, **ssm) == (
        LayerState(12, 128, 128, fixed=fixed),
    )


@pytest.mark.parametrize("architecture", ["nemotron_h", "nemotron_h_moe"])
def test_layers_of_a_network_alone_keep_nothing(tmp_path: Path, architecture: str) -> None:
    ssm = {"ssm__inner_size": 1024, "ssm__state_size": 16, "ssm__conv_kernel": 4}
    found = states(
        tmp_path,
        architecture,
        attention__head_count_kv=[0, 0, 2] * 4,
        feed_forward_length=[0, 64, 0] * 4,
        **ssm,
    )
    assert found == (
        LayerState(4, 0, 0, fixed=(3 * 1024 + 16 * 1024) * 4),
        LayerState(4, 0, 0),
        LayerState(4, 128, 128),
    )


def test_layers_that_only_guess_ahead_keep_nothing(tmp_path: Path) -> None:
    assert states(tmp_path, "glm4moe", nextn_predict_layers=1) == (LayerState(11, 512, 512),)


def test_a_header_that_says_too_little_says_nothing(tmp_path: Path) -> None:
    assert states(tmp_path, "llama", block_count=0) == ()
    assert states(tmp_path, "llama", block_count=2**31) != ()  # bounded, and read at once
