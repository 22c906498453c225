"""Headers of safetensors files, true and false."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.errors import BadModelFile
from noibo.modelstore import checkpoint
from noibo.modelstore.manifest import Facts


def describe(folder: Path, header: dict[str, Any], body: int, config: str = "{}") -> Facts:
    """What a folder with one file of weights says of itself."""
    (folder / "config.json").write_text(config)
    said = json.dumps(header).encode()
    weights = folder / "model.safetensors"
    weights.write_bytes(len(said).to_bytes(8, "little") + said + bytes(body))
    return checkpoint.describe({"config.json": folder / "config.json", weights.name: weights})


def tensor(shape: list[int], first: int, last: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_parameters_are_counted_over_all_types_and_the_most_used_type_is_named(
    tmp_path: Path,
) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": tensor([2, 3], 0, 24),
        "b": tensor([10], 24, 44, "BF16"),
        "scalar": tensor([], 44, 45, "F8_E4M3"),
        "nothing": tensor([0, 7], 45, 45),
    }
    facts = describe(tmp_path, header, 45)
    assert (facts.parameters, facts.quantisation) == (17, "BF16")


def test_types_smaller_than_a_byte_may_hold_as_many_as_there_are_bits(tmp_path: Path) -> None:
    facts = describe(tmp_path, {"a": tensor([4, 4], 0, 8, "F4")}, 8)
    assert facts.parameters == 16
    with pytest.raises(BadModelFile, match="damaged"):
        describe(tmp_path, {"a": tensor([65], 0, 8, "F4")}, 8)


@pytest.mark.parametrize(
    "entry",
    [
        tensor([2**61] * 50_000, 0, 4),
        tensor([1] * 9, 0, 4),
        tensor([2**48, 2**48], 0, 4),
        tensor([2**49], 0, 4),
        tensor([10**300], 0, 4),
        tensor([-1], 0, 4),
        tensor([2], 0, 4),
        tensor([1], 0, 3),
        tensor([1], 0, 8),
        tensor([1], 4, 0),
        tensor([1], -4, 0),
        tensor([1], 0, 4, "x\x1b[2J"),
        tensor([1], 0, 4, "F" * 1000),
    ],
)
def test_a_shape_that_does_not_fit_its_bytes_is_refused(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    with pytest.raises(BadModelFile, match=r"damaged|cannot be read"):
        describe(tmp_path, {"t": entry}, 4)


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match="cut short or damaged"):
        describe(tmp_path, {"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, 4)


@pytest.mark.parametrize(
    "header",
    [
        {str(number): tensor([0], 0, 0) for number in range(checkpoint.MAX_TENSORS + 1)},
        {"a": {"dtype": "F32", "shape": [0] * 2_200_000, "data_offsets": [0, 0]}},
    ],
)
def test_a_header_without_end_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    with pytest.raises(BadModelFile, match="more tensors than any model"):
        describe(tmp_path, header, 0)


@pytest.mark.parametrize("context", ["true", "-1", "1" + "0" * 300, '"128"'])
def test_a_context_length_that_is_none_is_passed_over(tmp_path: Path, context: str) -> None:
    config = f'{{"model_type": "llama", "max_position_embeddings": {context}}}'
    facts = describe(tmp_path, {"a": tensor([1], 0, 4)}, 4, config)
    assert (facts.architecture, facts.context_length) == ("llama", None)


def test_a_pointer_of_git_lfs_is_known_for_one(tmp_path: Path) -> None:
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    config.write_text("{}")
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")
    with pytest.raises(BadModelFile, match="Git LFS pointer") as caught:
        checkpoint.describe({config.name: config, weights.name: weights})
    assert "git lfs pull" in caught.value.next_step
