"""A checkpoint folder as Hugging Face writes it: config.json and safetensors files.

Only the headers are read, and nothing is ever unpickled.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo.errors import BadModelFile
from noibo.modelstore.manifest import Facts

MAX_HEADER: Final = 100 * 10**6
MAX_CONFIG: Final = 16 * 2**20
CONFIG: Final = "config.json"
_GET_WHOLE: Final = "Fetch it again, from where the model is published."


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def describe(files: Mapping[str, Path]) -> Facts:
    """Facts about a checkpoint from its files by name; raises `BadModelFile`."""
    config = _config(files)
    weights = {name: path for name, path in files.items() if name.endswith(".safetensors")}
    if not weights:
        raise BadModelFile("There are no safetensors files in it.", next_step=_GET_WHOLE)
    elements: dict[str, int] = {}
    for name, path in weights.items():
        for tensor in _tensors(name, path):
            count = math.prod(tensor.shape)
            elements[tensor.dtype] = elements.get(tensor.dtype, 0) + count
    text = config.get("text_config")
    inner = text if isinstance(text, dict) else {}
    context = config.get("max_position_embeddings", inner.get("max_position_embeddings"))
    kind = config.get("model_type")
    return Facts(
        architecture=kind if isinstance(kind, str) else None,
        quantisation=_quantisation(config) or max(elements, key=lambda one: elements[one]),
        parameters=sum(elements.values()),
        context_length=context if isinstance(context, int) else None,
        format="safetensors",
    )


def _quantisation(config: Mapping[str, Any]) -> str | None:
    how = config.get("quantization_config")
    method = how.get("quant_method") if isinstance(how, dict) else None
    return method.upper() if isinstance(method, str) else None


def _config(files: Mapping[str, Path]) -> dict[str, Any]:
    path = files.get(CONFIG)
    if path is None:
        raise BadModelFile("There is no config.json in it.", next_step=_GET_WHOLE)
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise BadModelFile(f"{path} is no configuration: it is too large.")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadModelFile(f"{path} is not JSON: {exc}.", next_step=_GET_WHOLE) from exc


def _tensors(name: str, path: Path) -> list[_Tensor]:
    """The tensors of one file, if its header tells the truth about its size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise BadModelFile(f"{name} is not a safetensors file.", next_step=_GET_WHOLE)
        try:
            said = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
            said.pop("__metadata__", None)
            tensors = [msgspec.json.decode(one, type=_Tensor) for one in said.values()]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise BadModelFile(f"{name}: its header cannot be read: {exc}.") from exc
    body = size - 8 - length
    for tensor in tensors:
        first, last = tensor.data_offsets
        if not 0 <= first <= last <= body or any(n < 0 for n in tensor.shape):
            raise BadModelFile(f"{name} is cut short or damaged.", next_step=_GET_WHOLE)
    return tensors
