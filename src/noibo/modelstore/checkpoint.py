"""A checkpoint folder as Hugging Face writes it: config.json and safetensors files.

Only the headers are read, and nothing is ever unpickled. What a header says is compared with the
bytes that follow it: a shape is believed when its numbers fit what is there.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from noibo.errors import BadModelFile
from noibo.modelstore.manifest import Facts

MAX_HEADER: Final = 100 * 10**6
MAX_CONFIG: Final = 16 * 2**20
MAX_TENSORS: Final = 2**17  # of one file; the largest have some thousands
CONFIG: Final = "config.json"
_GET_WHOLE: Final = "Fetch it again, from where the model is published."
_POINTER: Final = b"version https://git-lfs.github.com/"  # a clone without `git lfs` leaves these
_MARKS: Final = (
    16  # colons and commas of a tensor's entry, at most; more of them are refused unread
)
_LONGEST_CONTEXT: Final = 2**48

# Bytes of one element, of the types that have whole bytes. Others (F4, F6_E2M3) pack several.
_BYTES: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 1),
    **dict.fromkeys(("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}


class _Tensor(msgspec.Struct):
    dtype: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,16}$")]
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=2**48)]], Meta(max_length=8)]
    data_offsets: tuple[int, int]

    @property
    def size(self) -> int:
        """In bytes."""
        return self.data_offsets[1] - self.data_offsets[0]

    @property
    def fits(self) -> bool:
        """True if its bytes can hold what its shape says."""
        count, each = math.prod(self.shape), _BYTES.get(self.dtype)
        return count <= 8 * self.size if each is None else count * each == self.size


def describe(files: Mapping[str, Path]) -> Facts:
    """Facts about a checkpoint from its files by name; raises `BadModelFile`."""
    config = _config(files)
    weights = {name: path for name, path in files.items() if name.endswith(".safetensors")}
    if not weights:
        raise BadModelFile("There are no safetensors files in it.", next_step=_GET_WHOLE)
    elements: Counter[str] = Counter()
    for name, path in weights.items():
        for tensor in _tensors(name, path):
            elements[tensor.dtype] += math.prod(tensor.shape)
    text = config.get("text_config")
    inner = text if isinstance(text, dict) else {}
    context = config.get("max_position_embeddings", inner.get("max_position_embeddings"))
    kind = config.get("model_type")
    most = elements.most_common(1)
    return Facts(
        architecture=kind if isinstance(kind, str) else None,
        quantisation=_quantisation(config) or (most[0][0] if most else None),
        parameters=elements.total(),
        context_length=context if type(context) is int and 0 < context < _LONGEST_CONTEXT else None,
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


def _tensors(name: str, path: Path) -> Iterator[_Tensor]:
    """The tensors of one file, one after the other, if its header tells the truth about its size.

    The entries are cut apart first and read one by one: no list of all their numbers is made."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            file.seek(0)
            if file.read(len(_POINTER)) == _POINTER:
                raise BadModelFile(
                    f"{name} is a Git LFS pointer, not the weights that it stands for.",
                    next_step="Run `git lfs pull` in the repository that it came from.",
                )
            raise BadModelFile(f"{name} is not a safetensors file.", next_step=_GET_WHOLE)
        header = file.read(length)
    left = size - 8 - length
    try:
        for entry in _entries(name, header):
            tensor = msgspec.json.decode(entry, type=_Tensor)
            first, last = tensor.data_offsets
            left -= last - first
            if not 0 <= first <= last <= size - 8 - length or left < 0:
                raise BadModelFile(f"{name} is cut short or damaged.", next_step=_GET_WHOLE)
            if not tensor.fits:
                raise BadModelFile(
                    f"{name} is damaged: it gives {last - first:,} bytes to a tensor of shape "
                    f"{tensor.shape} in {tensor.dtype}.",
                    next_step=_GET_WHOLE,
                )
            yield tensor
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadModelFile(f"{name}: its header cannot be read: {exc}.") from exc


def _entries(name: str, header: bytes) -> Iterator[msgspec.Raw]:
    """What the header says of each tensor, not read yet."""
    if header.count(b":") + header.count(b",") > _MARKS * MAX_TENSORS:
        raise BadModelFile(f"{name} says it has more tensors than any model.", next_step=_GET_WHOLE)
    said = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
    said.pop("__metadata__", None)
    if len(said) > MAX_TENSORS:
        raise BadModelFile(f"{name} says it has more tensors than any model.", next_step=_GET_WHOLE)
    while said:
        yield said.popitem()[1]
