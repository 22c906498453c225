"""A tiny writer of GGUF bytes, right or wrong, for tests.

`Gguf().key(...).tensor(...).bytes()` writes a good file; every count, length and offset can be
overruled to write a bad one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from math import prod
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {
    U8: "B",
    I8: "b",
    U16: "H",
    I16: "h",
    U32: "I",
    I32: "i",
    F32: "f",
    BOOL: "B",
    U64: "Q",
    I64: "q",
    F64: "d",
}
# ggml type id to (elements in a block, bytes of a block), for the types tests use.
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 24: (1, 1), 27: (1, 8)}
MAX_U64 = 2**64 - 1


def u32(number: int) -> bytes:
    return struct.pack("<I", number & 0xFFFFFFFF)


def u64(number: int) -> bytes:
    return struct.pack("<Q", number & MAX_U64)


def text(value: str | bytes, length: int | None = None) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u64(len(raw) if length is None else length) + raw


def scalar(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack("<" + CODES[kind], value)


def array(kind: int, values: list[Any], count: int | None = None) -> bytes:
    head = u32(kind) + u64(len(values) if count is None else count)
    return head + b"".join(scalar(kind, value) for value in values)


def padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


@dataclass
class Gguf:
    """A file under construction. The `said_` fields overrule what the header claims."""

    magic: bytes = b"GGUF"
    version: int = 3
    alignment: int = 32
    said_tensors: int | None = None
    said_keys: int | None = None
    keys: list[bytes] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    data: bytes = b""

    def raw_key(self, key: str | bytes, kind: int, value: bytes) -> Gguf:
        """A key with the bytes of its value, whatever they are."""
        self.keys.append(text(key) + u32(kind) + value)
        return self

    def key(self, key: str | bytes, kind: int, value: Any) -> Gguf:
        """A key with a scalar or string."""
        return self.raw_key(key, kind, scalar(kind, value))

    def list_key(self, key: str, kind: int, values: list[Any], count: int | None = None) -> Gguf:
        """A key with a list."""
        return self.raw_key(key, ARRAY, array(kind, values, count))

    def aligned(self, alignment: int) -> Gguf:
        """Declare and use an alignment."""
        self.alignment = alignment
        return self.key("general.alignment", U32, alignment)

    def tensor(
        self,
        name: str | bytes,
        shape: tuple[int, ...],
        kind: int = 0,
        *,
        offset: int | None = None,
        n_dims: int | None = None,
        block: tuple[int, int] | None = None,
    ) -> Gguf:
        """A tensor, with zeros for data when its size is sane, padded from the one before."""
        if len(self.data) % self.alignment:
            self.data += bytes(padded(len(self.data), self.alignment) - len(self.data))
        self.records.append(
            text(name)
            + u32(len(shape) if n_dims is None else n_dims)
            + b"".join(u64(length) for length in shape)
            + u32(kind)
            + u64(len(self.data) if offset is None else offset)
        )
        per_block, block_bytes = block or BLOCKS.get(kind, (1, 0))
        size = prod(shape) // per_block * block_bytes
        self.data += bytes(size if 0 <= size < 2**20 else 0)
        return self

    def header(self) -> bytes:
        """The file up to the data section, without the padding before it."""
        tensors = len(self.records) if self.said_tensors is None else self.said_tensors
        keys = len(self.keys) if self.said_keys is None else self.said_keys
        start = self.magic + u32(self.version) + u64(tensors) + u64(keys)
        return start + b"".join(self.keys + self.records)

    def bytes(self, pad_end: bool = True) -> bytes:
        """The whole file; `pad_end` pads behind the last tensor, as most writers do."""
        header = self.header()
        if self.records:
            header += bytes(padded(len(header), self.alignment) - len(header))
        end = padded(len(self.data), self.alignment) if pad_end else len(self.data)
        return header + self.data + bytes(end - len(self.data))


def llama(**more: Any) -> Gguf:
    """A small, complete model header of architecture llama, with two tensors."""
    return (
        Gguf(**more)
        .key("general.architecture", STRING, "llama")
        .key("general.name", STRING, "Tiny")
        .key("general.file_type", U32, 15)
        .key("llama.context_length", U32, 2048)
        .key("llama.embedding_length", U32, 64)
        .key("llama.block_count", U32, 2)
        .key("llama.attention.head_count", U32, 4)
        .list_key("tokenizer.ggml.tokens", STRING, ["a", "bc", "", "ế"])
        .list_key("tokenizer.ggml.scores", F32, [0.0, -1.0, -2.0, -3.0])
        .tensor("token_embd.weight", (64, 4), 2)
        .tensor("output_norm.weight", (8,), 0)
    )
