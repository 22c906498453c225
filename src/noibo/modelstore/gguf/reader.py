"""The header of a GGUF file, read without trusting a byte of it.

A GGUF file is a header (key-value metadata, then one record for each tensor) followed by the
tensors' data. Only the header is read; the data section is only measured. Verdicts follow
llama.cpp's own reader (`gguf_init_from_file`), so that what is accepted here can be loaded there;
where llama.cpp would take seconds, gigabytes or an ambiguous name, this reader refuses.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import Struct
from typing import Final, NoReturn

from noibo.modelstore.gguf.cursor import Cursor, opened
from noibo.modelstore.gguf.foreign_files import GET_GGUF, HEAD_BYTES, recognise
from noibo.modelstore.gguf.ggml_types import REMOVED, TYPES, GgmlType
from noibo.modelstore.gguf.metadata import (
    ALIGNMENT_KEY,
    GgufArray,
    Scalar,
    Value,
    read_metadata,
    read_name,
)
from noibo.modelstore.printable import shown

__all__ = ["GgufArray", "GgufHeader", "GgufTensor", "Scalar", "Value", "read_header"]

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
DEFAULT_ALIGNMENT: Final = 32
_SMALLEST: Final = 24  # magic, version, two counts

MAX_KEYS: Final = 16_384  # real files have 20 to 100
MAX_TENSORS: Final = 65_536  # real files have 100 to 25,000
MAX_TENSOR_NAME_BYTES: Final = 63  # GGML_MAX_NAME less its NUL
MAX_DIMENSIONS: Final = 4
MAX_ELEMENTS: Final = 2**63 - 2

_U32, _I32, _U64, _I64 = Struct("<I"), Struct("<i"), Struct("<Q"), Struct("<q")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor's record. `shape` is in ggml's order: the row length first.

    `offset` is in bytes from the start of the data section; `byte_size` is without padding.
    """

    name: str
    shape: tuple[int, ...]
    type: GgmlType
    offset: int
    byte_size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """All that a GGUF file says about itself. Offsets and sizes are in bytes."""

    path: Path
    version: int
    alignment: int
    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]
    data_offset: int
    file_size: int


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the GGUF file `path`.

    Raises ModelNotFound when there is no such file, and BadModelFile when it is not GGUF, is
    damaged or cut short, or asks for more than any model needs.
    """
    with opened(path) as cursor:
        version = _read_version(cursor)
        tensor_count = _read_count(cursor, "tensors", MAX_TENSORS)
        key_count = _read_count(cursor, "metadata keys", MAX_KEYS)
        metadata = read_metadata(cursor, path, key_count)
        alignment = _alignment(cursor, metadata)
        tensors = _read_tensors(cursor, tensor_count)
        data_offset = _padded(cursor.offset, alignment) if tensors else cursor.offset
        _check_data(cursor, tensors, data_offset, alignment)
        return GgufHeader(
            path, version, alignment, metadata, tensors, data_offset, file_size=cursor.size
        )


def _read_version(cursor: Cursor) -> int:
    head = cursor.peek(HEAD_BYTES)
    if head and MAGIC.startswith(head):
        cursor.refuse_truncated(_SMALLEST)
    if not head.startswith(MAGIC):
        what, next_step = recognise(head)
        cursor.refuse(f"it is {what}", next_step)
    cursor.skip(len(MAGIC))
    version: int = cursor.scalar(_U32)
    if version not in VERSIONS:
        _refuse_version(cursor, version)
    return version


def _refuse_version(cursor: Cursor, version: int) -> NoReturn:
    if version and not version & 0xFFFF:
        cursor.refuse(
            "it was written for big-endian machines",
            "Fetch the little-endian file, or convert this one with gguf-convert-endian "
            "(package gguf).",
        )
    if version == 1:
        cursor.refuse(
            "it is GGUF version 1, which llama.cpp no longer reads",
            "Fetch a newer GGUF of the same model, or convert the original again.",
        )
    newer = version > max(VERSIONS)
    cursor.refuse(
        f"it is GGUF version {version}; versions 2 and 3 are known",
        "Update noibo, or fetch a GGUF of version 3." if newer else GET_GGUF,
    )


def _read_count(cursor: Cursor, what: str, most: int) -> int:
    count: int = cursor.scalar(_U64)
    if count > most:
        cursor.refuse(f"it says it has {count:,} {what}; at most {most:,} are read")
    return count


def _alignment(cursor: Cursor, metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment.bit_count() != 1:
        cursor.refuse(f"{ALIGNMENT_KEY} is {alignment}, which is not a power of two")
    return alignment


def _read_tensors(cursor: Cursor, count: int) -> tuple[GgufTensor, ...]:
    tensors: dict[str, GgufTensor] = {}
    for _ in range(count):
        name = read_name(cursor, "tensor name", MAX_TENSOR_NAME_BYTES)
        if name in tensors:
            cursor.refuse(f"the tensor {shown(name)} is there twice")
        tensors[name] = _read_tensor(cursor, name)
    return tuple(tensors.values())


def _read_tensor(cursor: Cursor, name: str) -> GgufTensor:
    label = f"the tensor {shown(name)}"
    shape = _read_shape(cursor, label)
    kind = _read_tensor_type(cursor, label)
    row = shape[0] if shape else 1
    if row % kind.block_size:
        cursor.refuse(
            f"{label} has rows of {row:,}, not a multiple of {kind.name}'s {kind.block_size}"
        )
    byte_size = prod(shape) // kind.block_size * kind.block_bytes
    return GgufTensor(name, shape, kind, cursor.scalar(_U64), byte_size)


def _read_shape(cursor: Cursor, label: str) -> tuple[int, ...]:
    dimensions: int = cursor.scalar(_U32)
    if dimensions > MAX_DIMENSIONS:
        cursor.refuse(f"{label} has {dimensions:,} dimensions; at most {MAX_DIMENSIONS} are known")
    shape = tuple(cursor.scalar(_I64) for _ in range(dimensions))
    if any(length < 0 for length in shape):
        cursor.refuse(f"{label} has a negative dimension")
    if prod(length for length in shape if length) > MAX_ELEMENTS:  # a 0 hides no overflow
        cursor.refuse(f"{label} has more elements than can be counted")
    return shape


def _read_tensor_type(cursor: Cursor, label: str) -> GgmlType:
    kind: int = cursor.scalar(_I32)
    if kind in REMOVED:
        old, new = REMOVED[kind]
        cursor.refuse(
            f"{label} is stored as {old}, which llama.cpp no longer reads",
            f"Fetch the {new} file of the same model.",
        )
    if kind not in TYPES:
        cursor.refuse(
            f"{label} is stored as type {kind}, which is not known",
            "It may be newer than this noibo (update it), or of a private fork of llama.cpp.",
        )
    return TYPES[kind]


def _check_data(
    cursor: Cursor, tensors: tuple[GgufTensor, ...], data_offset: int, alignment: int
) -> None:
    """The tensors' data lies back to back, padded, and the file is long enough for it.

    The padding behind the last tensor may be missing, as it may for llama.cpp's model loader.
    """
    end = expected = 0
    for tensor in tensors:
        if tensor.offset != expected:
            cursor.refuse(
                f"the data of the tensor {shown(tensor.name)} is said to begin at byte "
                f"{tensor.offset:,} of the data section, and should at {expected:,}"
            )
        end = tensor.offset + tensor.byte_size
        expected = _padded(end, alignment)
    if data_offset + end > cursor.size:
        cursor.refuse_truncated(data_offset + end)


def _padded(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) & -alignment
