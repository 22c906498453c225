import ctypes
import errno
import importlib.util
import json
import os
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noibo.errors import BadModelFile, ModelNotFound
from noibo.modelstore.gguf import ggml_types
from noibo.modelstore.gguf.cursor import MAX_STRINGS, MAX_TEXT_BYTES
from noibo.modelstore.gguf.model_info import describe
from noibo.modelstore.gguf.reader import MAX_KEYS, MAX_TENSORS, GgufArray, GgufHeader, read_header
from tests.conftest import SHARED
from tests.modelstore.gguf_builder import ARRAY, F32, STRING, U8, U32, Gguf, llama, text, u32, u64
from tests.modelstore.gguf_cases import ACCEPTED, NOT_FOR_LLAMA_CPP, REFUSED, REFUSED_BY_NOIBO_ONLY

HOSTILE = SHARED / "data" / "hostile" / "gguf"
GIB = 2**30


def write(folder: Path, content: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path: Path) -> BadModelFile:
    with pytest.raises(BadModelFile) as caught:
        read_header(path)
    assert caught.value.message
    assert caught.value.next_step
    return caught.value


def sparse(folder: Path, start: bytes, size: int) -> Path:
    path = write(folder, start)
    os.truncate(path, size)
    return path


# What a good file says


def test_a_model_is_read(tmp_path):
    header = read_header(write(tmp_path, llama().bytes()))
    assert header.version == 3
    assert header.alignment == 32
    assert header.metadata["general.name"] == "Tiny"
    assert header.metadata["llama.context_length"] == 2048
    first, second = header.tensors
    assert (first.name, first.shape, first.type.name) == ("token_embd.weight", (64, 4), "Q4_0")
    assert (first.offset, first.byte_size, first.elements) == (0, 144, 256)
    assert (second.offset, second.byte_size) == (160, 32)
    assert header.data_offset % 32 == 0
    assert header.file_size == header.data_offset + 192


def test_every_scalar_type_has_its_value(tmp_path):
    metadata = read_header(write(tmp_path, ACCEPTED["every_scalar"])).metadata
    assert metadata["string"] == "Tiếng Việt"
    assert metadata["empty"] == ""
    for kind in (0, 1, 2, 3, 4, 5, 10, 11):
        assert metadata[f"scalar_{kind}"] == 1
    assert metadata["scalar_6"] == metadata["scalar_12"] == 1.5
    assert metadata["scalar_7"] is True


def test_a_bool_is_true_for_any_byte_but_zero(tmp_path):
    metadata = read_header(write(tmp_path, ACCEPTED["bool_of_2"])).metadata
    assert metadata["b"] is True
    assert metadata["bs"].read(10) == [False, True, True]


def test_a_list_is_read_when_asked(tmp_path):
    metadata = read_header(write(tmp_path, llama().bytes())).metadata
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    assert (tokens.element_type, tokens.count) == ("string", 4)
    assert tokens.read(3) == ["a", "bc", ""]
    assert tokens.read(1000)[-1] == "ế"
    assert scores.read(2) == [0.0, -1.0]
    assert scores.read(0) == scores.read(-1) == []


def test_a_list_of_a_file_that_is_gone_is_an_error(tmp_path):
    path = write(tmp_path, llama().bytes())
    tokens = read_header(path).metadata["tokenizer.ggml.tokens"]
    write(tmp_path, b"GGUF")
    with pytest.raises(BadModelFile):
        tokens.read(1)
    path.unlink()
    with pytest.raises(ModelNotFound):
        tokens.read(1)


def test_text_that_is_not_utf8_keeps_what_can_be_read(tmp_path):
    path = write(tmp_path, Gguf().key("s", STRING, b"caf\xe9").bytes())
    assert read_header(path).metadata["s"] == "caf�"


def test_a_custom_alignment_is_used(tmp_path):
    header = read_header(write(tmp_path, ACCEPTED["alignment_4096"]))
    assert header.alignment == header.data_offset == 4096


# Verdicts


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(tmp_path, name):
    header = read_header(write(tmp_path, ACCEPTED[name]))
    describe(header)
    for value in header.metadata.values():
        if isinstance(value, GgufArray):
            assert len(value.read(1000)) == value.count


@pytest.mark.parametrize("name", REFUSED | REFUSED_BY_NOIBO_ONLY)
def test_refuses(tmp_path, name):
    refusal(write(tmp_path, (REFUSED | REFUSED_BY_NOIBO_ONLY)[name]))


@pytest.mark.parametrize("whole", [llama().bytes(pad_end=False), ACCEPTED["every_array"]])
def test_a_file_cut_anywhere_is_refused(tmp_path, whole):
    for length in range(len(whole)):
        refusal(write(tmp_path, whole[:length]))
    read_header(write(tmp_path, whole))


def test_a_file_cut_short_is_called_that(tmp_path):
    error = refusal(write(tmp_path, llama().bytes()[:-1]))
    assert "cut short" in error.message
    assert "fetch the file again" in error.next_step


LLAMA_CPP = """
import ctypes, json, sys
class Params(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]
library = ctypes.CDLL(sys.argv[1])
library.gguf_init_from_file.restype = ctypes.c_void_p
library.gguf_init_from_file.argtypes = [ctypes.c_char_p, Params]
verdicts = {}
for path in sys.argv[2:]:
    context = ctypes.c_void_p(None)
    params = Params(False, ctypes.cast(ctypes.pointer(context), ctypes.c_void_p))
    verdicts[path] = bool(library.gguf_init_from_file(path.encode(), params))
print("verdicts", json.dumps(verdicts))
"""


@pytest.fixture(scope="module")
def llama_cpp() -> Path:
    """The shared library in the xllamacpp wheel, where it offers ggml's C functions."""
    spec = importlib.util.find_spec("xllamacpp")
    found = list(Path(spec.origin).parent.glob("*.so")) if spec and spec.origin else []
    if not found or b"gguf_init_from_file" not in found[0].read_bytes():
        pytest.skip("no llama.cpp library with gguf_init_from_file here")
    return found[0]


def test_verdicts_are_those_of_llama_cpp(tmp_path, llama_cpp):
    expected = {}
    for name, content in (ACCEPTED | REFUSED).items():
        if name not in NOT_FOR_LLAMA_CPP:
            expected[str(write(tmp_path, content, name))] = name in ACCEPTED
    child = subprocess.run(
        [sys.executable, "-c", LLAMA_CPP, llama_cpp, *expected],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = next(line for line in child.stdout.splitlines() if line.startswith("verdicts"))
    assert json.loads(said.removeprefix("verdicts")) == expected


def test_type_sizes_are_those_of_llama_cpp(llama_cpp):
    library = ctypes.CDLL(str(llama_cpp))
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    for kind in ggml_types.TYPES.values():
        assert library.ggml_type_name(kind.id).decode().upper() == kind.name
        assert library.ggml_blck_size(kind.id) == kind.block_size
        assert library.ggml_type_size(kind.id) == kind.block_bytes
    for removed in ggml_types.REMOVED:
        assert library.ggml_type_size(removed) == 0
        assert removed not in ggml_types.TYPES


@pytest.mark.parametrize("kind", ggml_types.TYPES.values(), ids=lambda kind: kind.name)
def test_every_tensor_type_is_measured(tmp_path, kind):
    block = (kind.block_size, kind.block_bytes)
    file = Gguf().tensor("t", (2 * kind.block_size, 3), kind.id, block=block)
    tensor = read_header(write(tmp_path, file.bytes())).tensors[0]
    assert tensor.type == kind
    assert tensor.byte_size == 6 * kind.block_bytes


def test_a_removed_type_names_its_successor(tmp_path):
    error = refusal(write(tmp_path, REFUSED["tensor_type_31_removed"]))
    assert "Q4_0_4_4" in error.message
    assert "Q4_0 file" in error.next_step


def test_a_hostile_name_does_not_drive_the_terminal(tmp_path):
    name = "\x1b]0;pwn\x07\u202e\r\n"
    error = refusal(write(tmp_path, Gguf().tensor(name, (8,), offset=1).bytes()))
    assert error.message.isprintable()
    assert "\\x1b]0;pwn\\x07\\u202e\\r\\n" in error.message


def _hostile_manifest() -> list[dict[str, str]]:
    manifest = HOSTILE / "manifest.json"
    return json.loads(manifest.read_text()) if manifest.exists() else []


@pytest.mark.shared
@pytest.mark.parametrize("case", _hostile_manifest(), ids=lambda case: case["file"])
def test_the_hostile_set_gets_its_verdicts(case):
    started = time.monotonic()
    try:
        describe(read_header(HOSTILE / case["file"]))
        verdict = "accept"
    except BadModelFile:
        verdict = "reject"
    assert time.monotonic() - started < 1
    may_be = {"reject_at_load": {"accept", "reject"}}.get(case["expect"], {case["expect"]})
    assert verdict in may_be


# Other kinds of file


@pytest.mark.parametrize(
    ("content", "said", "advice"),
    [
        (b"", "empty", "fetch it again"),
        (b"GG", "cut short", "fetch the file again"),
        (b"GGUF", "cut short", "fetch the file again"),
        (b"<!DOCTYPE html><html>404", "a web page", "login"),
        (b"\n  <HTML><head>", "a web page", "address"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
        (b"lmgg" + bytes(20), "old GGML", "August 2023"),
        (b"fmgg" + bytes(20), "ggmf", "GGUF file of the same model"),
        (b"tjgg" + bytes(20), "ggjt", "convert"),
        (b"algg" + bytes(20), "ggla", "adapter"),
        (u64(64) + b'{"__metadata__":{}}', "safetensors", "convert"),
        (b"PK\x03\x04" + bytes(20), "zip archive", "never unpickles"),
        (b"\x80\x02}q\x00.", "pickle", "never unpickles"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip", "gzip -d"),
        (b'{"error":"Repository not found"}', "JSON", "again"),
        (b"Entry not found", "text file", "again"),
        (bytes(4096), "zeros", "again"),
        (b"\x93NUMPY", "does not know", "again"),
    ],
)
def test_another_kind_of_file_gets_its_advice(tmp_path, content, said, advice):
    error = refusal(write(tmp_path, content))
    assert said in error.message
    assert advice in error.next_step


@pytest.mark.parametrize(
    ("name", "said", "advice"),
    [
        ("version_1", "version 1", "newer GGUF"),
        ("version_4", "version 4", "Update noibo"),
        ("big_endian", "big-endian", "convert"),
    ],
)
def test_another_version_gets_its_advice(tmp_path, name, said, advice):
    error = refusal(write(tmp_path, REFUSED[name]))
    assert said in error.message
    assert advice in error.next_step


@pytest.mark.parametrize("name", ["none.gguf", "none/none.gguf", "a\0b", "n" * 300])
def test_a_missing_file_is_not_found(tmp_path, name):
    with pytest.raises(ModelNotFound):
        read_header(tmp_path / name)


def test_a_folder_is_refused(tmp_path):
    assert "folder" in refusal(tmp_path).message


@pytest.mark.timeout(10)
def test_a_pipe_or_device_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refusal(tmp_path / "pipe").message
    assert "device" in refusal(Path("/dev/zero")).message


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, llama().bytes())
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything: refuse as the kernel would refuse others
        monkeypatch.setattr(os, "open", _denied)
    assert "permissions" in refusal(path).next_step


def _denied(path, *_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))


def test_a_link_is_followed(tmp_path):
    path = write(tmp_path, llama().bytes())
    (tmp_path / "link.gguf").symlink_to(path)
    assert read_header(tmp_path / "link.gguf").tensors


# Cost


def test_a_large_vocabulary_is_quick(tmp_path):
    tokens = [f"token{i}" for i in range(250_000)]
    path = write(tmp_path, Gguf().list_key("tokenizer.ggml.tokens", STRING, tokens).bytes())
    started = time.monotonic()
    array = read_header(path).metadata["tokenizer.ggml.tokens"]
    assert time.monotonic() - started < 1
    assert array.read(1_000_000) == tokens


def key_start(kind: int, count: int) -> bytes:
    """A file that ends where a list of `count` values begins."""
    return Gguf(keys=[text("k") + u32(ARRAY) + u32(kind) + u64(count)]).header()


@pytest.mark.parametrize(
    "start",
    [
        key_start(STRING, 2**33),
        key_start(STRING, MAX_STRINGS),
        key_start(U8, 2**36),
        key_start(F32, 2**25),
        Gguf(keys=[text("k") + u32(STRING) + u64(2**35)]).header(),
        Gguf(keys=[text("k") + u32(STRING) + u64(MAX_TEXT_BYTES)]).header(),
        Gguf(said_keys=MAX_KEYS).header(),
        Gguf(said_tensors=MAX_TENSORS).header(),
        Gguf(said_tensors=2**60).header(),
        llama().tensor("t", (2**36,), 24).header(),
    ],
    ids=[
        "strings_2_33",
        "strings_at_the_limit",
        "bytes_2_36",
        "floats_2_25",
        "text_2_35",
        "text_at_the_limit",
        "keys_at_the_limit",
        "tensors_at_the_limit",
        "tensors_2_60",
        "tensor_2_36",
    ],
)
def test_a_huge_sparse_file_costs_little(tmp_path, start):
    path = sparse(tmp_path, start, 2**37)
    code = """
        import resource, sys
        from pathlib import Path
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        from noibo.errors import BadModelFile
        from noibo.modelstore.gguf.reader import read_header
        try:
            print("accept", read_header(Path(sys.argv[1])).file_size)
        except BadModelFile as error:
            print("reject", error)
    """
    started = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - started < 10
    assert child.stdout.startswith(("accept", "reject"))


def test_the_most_text_a_file_may_hold_fits_in_memory(tmp_path):
    """One wide character makes Python keep four bytes for each of the others."""
    most = "𝕏".encode() + b"a" * (MAX_TEXT_BYTES - 64)
    path = write(tmp_path, Gguf().key("k", STRING, most).bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(read_header(path).metadata["k"]) == MAX_TEXT_BYTES - 63
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20 * 0.9  # KiB


# Properties


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mutants") / "mutant.gguf"


edits = st.lists(
    st.tuples(
        st.integers(0, 700),
        st.sampled_from(["write", "insert", "delete"]),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([u64(2**64 - 1), u64(2**63), u64(0), u32(2**32 - 1), u32(9)]),
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from(sorted(ACCEPTED)), changes=edits)
def test_any_mutation_gives_a_header_or_a_refusal(scratch, start, changes):
    content = bytearray(ACCEPTED[start])
    for place, edit, new in changes:
        at = place % (len(content) + 1)
        end = at if edit == "insert" else at + len(new)
        content[at:end] = b"" if edit == "delete" else new
    scratch.write_bytes(content)
    try:
        header = read_header(scratch)
    except BadModelFile as error:
        assert error.next_step
        return
    assert isinstance(header, GgufHeader)
    assert describe(header).as_dict()


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@settings(deadline=None)
@given(keys=st.dictionaries(names, st.text(st.characters(codec="utf-8")), max_size=5))
def test_what_is_written_is_read_back(scratch, keys):
    keys.pop("general.alignment", None)
    file = Gguf()
    for key, value in keys.items():
        file.key(key, STRING, value)
    scratch.write_bytes(file.key("\u00e9" * 30, U32, 7).bytes())
    assert dict(read_header(scratch).metadata) == keys | {"\u00e9" * 30: 7}


# A real model


def test_a_real_model_is_read(smollm2_gguf):
    started = time.monotonic()
    header = read_header(smollm2_gguf)
    assert time.monotonic() - started < 0.5
    assert len(header.tensors) == 272
    last = header.tensors[-1]
    assert header.data_offset + last.offset + last.byte_size <= header.file_size
    assert header.metadata["tokenizer.ggml.tokens"].read(2) == ["<|endoftext|>", "<|im_start|>"]
