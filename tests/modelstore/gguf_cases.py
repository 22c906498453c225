"""GGUF files right and wrong, with the verdict each should get.

The wrong ones follow llama.cpp's tests/test-gguf.cpp (its handcrafted cases), Ollama's tests of its
reader, and what else a hostile file could try. They seed the fuzzer too.
"""

from __future__ import annotations

from typing import Any

from tests.modelstore.gguf_builder import (
    ARRAY,
    BOOL,
    CODES,
    F32,
    F64,
    I32,
    MAX_U64,
    STRING,
    U8,
    U32,
    U64,
    Gguf,
    array,
    llama,
    text,
    u32,
    u64,
)


def _tensor(**about: Any) -> bytes:
    """A file with one tensor."""
    return Gguf().tensor(**({"name": "t", "shape": (32,)} | about)).bytes()


def _value(kind: int, value: bytes) -> bytes:
    """A file with one key, of this type and these bytes."""
    return Gguf().raw_key("k", kind, value).bytes()


def _alignment(kind: int, value: Any) -> bytes:
    return Gguf().key("general.alignment", kind, value).bytes()


def _every_scalar() -> Gguf:
    file = Gguf().key("string", STRING, "Tiếng Việt").key("empty", STRING, "")
    for kind, code in CODES.items():
        file.key(f"scalar_{kind}", kind, 1.5 if code in "fd" else 1)
    return file


def _every_array(count: int) -> Gguf:
    file = Gguf().list_key("strings", STRING, ["a" * i for i in range(count)])
    for kind, code in CODES.items():
        file.list_key(f"list_{kind}", kind, [1.5 if code in "fd" else 1] * count)
    return file


_END_UNPADDED = Gguf().tensor("t", (33,), 24).bytes(pad_end=False)
_TWO = Gguf().tensor("t", (8,)).tensor("u", (8,))

ACCEPTED: dict[str, bytes] = {
    "model": llama().bytes(),
    "model_version_2": llama(version=2).bytes(),
    "empty_header": Gguf().bytes(),
    "empty_header_and_padding": Gguf().bytes() + bytes(8),
    "every_scalar": _every_scalar().bytes(),
    "every_array": _every_array(3).bytes(),
    "every_array_empty": _every_array(0).bytes(),
    "bool_of_2": Gguf().key("b", BOOL, 2).list_key("bs", BOOL, [0, 1, 255]).bytes(),
    "nan_and_infinity": Gguf().key("n", F32, float("nan")).key("i", F64, float("-inf")).bytes(),
    "value_not_utf8": Gguf().key("s", STRING, b"\xff\xfe\x00\x80").bytes(),
    "architecture_an_int": Gguf().key("general.architecture", U32, 7).bytes(),
    "alignment_1": Gguf().aligned(1).tensor("t", (7,), 24).tensor("u", (3,), 24).bytes(),
    "alignment_4096": Gguf().aligned(4096).tensor("t", (7,), 24).bytes(),
    "alignment_2_31_without_tensors": _alignment(U32, 2**31),
    "alignment_key_last": llama().aligned(32).bytes(),
    "tensor": _tensor(),
    "tensor_four_dimensions": _tensor(shape=(2, 3, 4, 5)),
    "tensor_no_dimensions": _tensor(shape=()),
    "tensor_zero_dimension": _tensor(shape=(32, 0)),
    "tensor_zero_row": _tensor(shape=(0,), kind=2),
    "tensor_zero_times_huge": _tensor(shape=(2**62, 0, 1, 1)),
    "tensor_name_63_bytes": _tensor(name="n" * 63),
    "tensor_name_empty": _tensor(name=""),
    "tensor_name_traversal": _tensor(name="../../../tmp/pwn"),
    "end_unpadded": _END_UNPADDED,
    "more_behind_the_end": _tensor() + b"more",
}

REFUSED: dict[str, bytes] = {
    "magic_fugg": Gguf(magic=b"FUGG").bytes(),
    "version_0": llama(version=0).bytes(),
    "version_1": llama(version=1).bytes(),
    "version_4": llama(version=4).bytes(),
    "version_65536": llama(version=65536).bytes(),
    "big_endian": llama(version=3 << 24).bytes(),
    "tensor_count_minus_1": Gguf(said_tensors=-1).bytes(),
    "tensor_count_too_many": Gguf(said_tensors=2).tensor("t", (8,)).bytes(),
    "tensor_count_2_40": Gguf(said_tensors=2**40).bytes() + bytes(512),
    "key_count_minus_1": Gguf(said_keys=-1).bytes(),
    "key_count_too_many": Gguf(said_keys=2).key("k", U8, 1).bytes(),
    "key_count_2_40": Gguf(said_keys=2**40).bytes() + bytes(512),
    "key_length_minus_1": Gguf(keys=[text("k", MAX_U64) + u32(U8) + b"\1"]).bytes(),
    "key_length_2_63": Gguf(keys=[text("k", 2**63) + u32(U8) + b"\1"]).bytes(),
    "key_length_one_more": Gguf(keys=[text("k", 7) + u32(U8) + b"\1"]).bytes(),
    "key_empty": Gguf().key("", U8, 1).bytes(),
    "key_twice": Gguf().key("k", U8, 1).key("k", U8, 1).bytes(),
    "value_type_13": _value(13, bytes(8)),
    "value_type_minus_1": _value(-1, bytes(8)),
    "value_missing": _value(U64, bytes(7)),
    "string_length_minus_1": _value(STRING, text("abc", MAX_U64)),
    "string_length_2_63": _value(STRING, text("abc", 2**63)),
    "string_length_one_more": _value(STRING, text("abc", 4)),
    "array_type_13": _value(ARRAY, array(13, [])),
    "array_type_minus_1": _value(ARRAY, array(-1, [])),
    "array_of_arrays": _value(ARRAY, u32(ARRAY) + u64(1) + array(U8, [1])),
    "array_of_no_arrays": _value(ARRAY, u32(ARRAY) + u64(0)),
    "array_nested_10000": _value(ARRAY, (u32(ARRAY) + u64(1)) * 10_000),
    "array_count_minus_1": _value(ARRAY, array(U8, [1], MAX_U64)),
    "array_count_2_63": _value(ARRAY, array(U8, [1], 2**63)),
    "array_bytes_wrap_to_0": _value(ARRAY, array(U64, [], 2**61)),
    "array_one_more": _value(ARRAY, array(F64, [1.0, 2.0], 3)),
    "array_larger_than_the_file": _value(ARRAY, array(F64, [], 10)),
    "strings_one_more": _value(ARRAY, array(STRING, ["a", "b"], 3)),
    "strings_count_2_40": _value(ARRAY, array(STRING, ["a"], 2**40)),
    "strings_count_67_million": _value(ARRAY, array(STRING, [], 2**26 + 1)),
    "strings_length_wraps": _value(ARRAY, u32(STRING) + u64(2) + text("a", MAX_U64 - 7)),
    "strings_length_to_the_end": _value(ARRAY, u32(STRING) + u64(2) + text("abcd", 5)),
    "alignment_0": _alignment(U32, 0),
    "alignment_13": _alignment(U32, 13),
    "alignment_int32": _alignment(I32, 32),
    "alignment_uint64": _alignment(U64, 32),
    "alignment_string": _alignment(STRING, "32"),
    "alignment_array": Gguf().list_key("general.alignment", U32, [32]).bytes(),
    "alignment_2_31_with_tensors": Gguf()
    .key("general.alignment", U32, 2**31)
    .tensor("t", (8,))
    .bytes(),
    "alignment_inconsistent": Gguf().tensor("t", (7,), 24).tensor("u", (7,), 24, offset=7).bytes(),
    "tensor_name_64_bytes": _tensor(name="n" * 64),
    "tensor_name_length_minus_1": Gguf(records=[text("t", MAX_U64)]).bytes() + bytes(64),
    "tensor_twice": Gguf().tensor("t", (8,)).tensor("t", (8,)).bytes(),
    "tensor_dimensions_5": _tensor(shape=(1, 1, 1, 1, 1)),
    "tensor_dimensions_minus_1": _tensor(n_dims=-1),
    "tensor_negative_dimension": _tensor(shape=(-1,)),
    "tensor_negative_after_zero": _tensor(shape=(0, -1)),
    "tensor_two_negative_dimensions": _tensor(shape=(-8, -4)),
    "tensor_too_many_elements": _tensor(shape=(4 * (2**31 - 1),) * 2),
    "tensor_elements_2_63": _tensor(shape=(2**62, 2), kind=24),
    "tensor_elements_max": _tensor(shape=(2**63 - 1,), kind=24),
    "tensor_elements_wrap_to_32": _tensor(shape=(2**32, 2**32 + 1, 32), kind=24),
    "tensor_elements_overflow_times_0": _tensor(shape=(2**40, 2**40, 0), kind=24),
    "tensor_zero_before_an_overflow": _tensor(shape=(1, 0, 2**40, 2**40), kind=24),
    "tensor_too_many_bytes": _tensor(shape=(1_533_916_890, 1_533_916_890), kind=27),
    "tensor_padding_wraps": _tensor(shape=(4, 2**54 - 1, 2**6 * 4), kind=0),
    "tensor_row_not_of_blocks": _tensor(shape=(31,), kind=2),
    "tensor_no_dimensions_of_blocks": _tensor(shape=(), kind=2),
    "tensor_type_4_removed": _tensor(kind=4),
    "tensor_type_31_removed": _tensor(kind=31),
    "tensor_type_38_removed": _tensor(kind=38),
    "tensor_type_43": _tensor(kind=43),
    "tensor_type_minus_1": _tensor(kind=-1),
    "tensor_type_2_31": _tensor(kind=2**31 - 1),
    "tensor_offset_minus_1": _tensor(offset=-1),
    "tensor_offset_not_0": _tensor(offset=32),
    "tensor_offset_with_gap": _TWO.tensor("v", (8,), offset=128).bytes() + bytes(64),
    "tensor_offsets_overlap": Gguf().tensor("t", (8,)).tensor("u", (8,), offset=0).bytes(),
    "data_missing": Gguf().tensor("t", (8,)).header(),
    "data_empty": _tensor()[:64],
    "data_one_byte_short": _tensor()[:-1],
    "data_larger_than_memory": Gguf()
    .tensor("t", (2**63 - 64,), 24)
    .tensor("u", (2**63 - 64,), 24, offset=2**63 - 64)
    .bytes(),
}

# Container errors that llama.cpp lets pass: in C a NUL ends a name, and bytes are not checked.
REFUSED_BY_NOIBO_ONLY: dict[str, bytes] = {
    "key_with_nul": Gguf().key("general\0architecture", STRING, "llama").bytes(),
    "key_not_utf8": Gguf().key(b"general.\xff", STRING, "llama").bytes(),
    "tensor_name_with_nul": _tensor(name="a\0b"),
    "tensor_name_not_utf8": _tensor(name=b"\xc3\x28"),
}

# Where the verdict of llama.cpp's gguf reader, when it loads the data too, is not ours to follow:
# it wants the last tensor's padding (its model loader does not), and two files end its process.
NOT_FOR_LLAMA_CPP = {"end_unpadded", "tensor_elements_max", "tensor_zero_before_an_overflow"}
