"""Small models of kinds that the default model is not, made here: encoders that give vectors or
rank documents, and one with tokens for filling in. And what an encoder computes, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.modelstore.gguf_builder import BOOL, F32, I32, STRING, U32, Gguf, padded

Array = np.ndarray[Any, np.dtype[np.float32]]
POOLINGS = {"none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "rug",
    "rate",
    "rose",
    "in",
    "march",
    "bank",
    "said",
    "it",
    "is",
    "not",
    "panda",
    "bear",
    "what",
)


def put(gguf: Gguf, name: str, values: Array) -> None:
    """Add a tensor with its numbers: of 32 bits, or of 16 where they are."""
    start = padded(len(gguf.data), gguf.alignment)
    gguf.tensor(name, tuple(reversed(values.shape)), 0 if values.dtype == np.float32 else 1)
    gguf.data = gguf.data[:start] + values.tobytes()


# ── encoders ────────────────────────────────────────────────────────────────


@dataclass
class Encoder:
    """A BERT: its vocabulary as GGUF files have it, and its weights by their names there."""

    tokens: list[str]
    heads: int
    layers: int
    weights: dict[str, Array] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return int(self.weights["token_embd.weight"].shape[1])

    @property
    def context(self) -> int:
        return int(self.weights["position_embd.weight"].shape[0])

    def write(self, path: Path, pooling: str | None) -> Path:
        """The file, that says how it pools or does not."""
        gguf = (
            Gguf()
            .key("general.architecture", STRING, "bert")
            .key("bert.context_length", U32, self.context)
            .key("bert.embedding_length", U32, self.width)
            .key("bert.feed_forward_length", U32, self.weights["blk.0.ffn_up.weight"].shape[0])
            .key("bert.block_count", U32, self.layers)
            .key("bert.attention.head_count", U32, self.heads)
            .key("bert.attention.layer_norm_epsilon", F32, 1e-12)
            .key("bert.attention.causal", BOOL, False)
            .key("tokenizer.ggml.model", STRING, "bert")
            .key("tokenizer.ggml.token_type_count", U32, 2)
            .list_key("tokenizer.ggml.tokens", STRING, self.tokens)
            .list_key("tokenizer.ggml.token_type", I32, [self._kind(one) for one in self.tokens])
        )
        names = {"bos": 2, "cls": 2, "seperator": 3, "padding": 0, "unknown": 1, "mask": 4}
        for name, place in names.items():
            number = self.tokens.index(SPECIAL[place])
            gguf.key(f"tokenizer.ggml.{name}_token_id", U32, number)
        if pooling is not None:
            gguf.key("bert.pooling_type", U32, POOLINGS[pooling])
        for name, values in self.weights.items():
            put(gguf, name, values)
        path.write_bytes(gguf.bytes())
        return path

    def _kind(self, token: str) -> int:
        return 3 if token in SPECIAL else 1

    def states(self, ids: Sequence[int]) -> Array:
        """What it computes for every token, a row each."""
        found = self.weights["token_embd.weight"][list(ids)].astype(np.float32)
        found += self.weights["position_embd.weight"][: len(ids)]
        found += self.weights["token_types.weight"][0]
        found = self._norm(found, "token_embd_norm")
        for layer in range(self.layers):
            found = self._layer(found, f"blk.{layer}.")
        return found

    def vector(self, ids: Sequence[int], pooling: str) -> Array:
        """Its vector for these tokens, of length 1."""
        rows = self.states(ids)
        found = {"mean": rows.mean(axis=0), "cls": rows[0], "last": rows[-1]}[pooling]
        return found / np.linalg.norm(found)

    def _layer(self, rows: Array, name: str) -> Array:
        seen = self._norm(rows + self._attention(rows, name), name + "attn_output_norm")
        up = self._linear(seen, name + "ffn_up")
        within = 0.5 * up * (1 + np.tanh(np.sqrt(2 / np.pi) * (up + 0.044715 * up**3)))
        return self._norm(
            seen + self._linear(within, name + "ffn_down"), name + "layer_output_norm"
        )

    def _attention(self, rows: Array, name: str) -> Array:
        q, k, v = (
            self._linear(rows, f"{name}attn_{one}").reshape(len(rows), self.heads, -1)
            for one in "qkv"
        )
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return self._linear(
            np.einsum("hij,jhd->ihd", shares, v).reshape(len(rows), -1), name + "attn_output"
        )

    def _linear(self, rows: Array, name: str) -> Array:
        weight = self.weights[name + ".weight"].astype(np.float32)
        found: Array = rows @ weight.T + self.weights[name + ".bias"]
        return found

    def _norm(self, rows: Array, name: str) -> Array:
        around = rows - rows.mean(axis=-1, keepdims=True)
        found = around / np.sqrt(around.var(axis=-1, keepdims=True) + 1e-12)
        return found * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def small_encoder(*, ranks: bool = False) -> Encoder:
    """One of two layers, with chance for weights; of a few words, and letters for the others."""
    chance, width, within, context = np.random.default_rng(7), 32, 64, 64
    letters = [chr(one) for one in range(ord("a"), ord("z") + 1)]
    tokens = [*SPECIAL, *("▁" + word for word in (*WORDS, *letters)), *letters]
    encoder = Encoder(list(dict.fromkeys(tokens)), heads=4, layers=2)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(encoder.tokens), width),
        "position_embd.weight": (context, width),
        "token_types.weight": (2, width),
        "token_embd_norm": (width,),
    }
    for layer in range(2):
        name = f"blk.{layer}."
        shapes |= {f"{name}attn_{one}": (width, width) for one in ("q", "k", "v", "output")}
        shapes |= {name + "ffn_up": (within, width), name + "ffn_down": (width, within)}
        shapes |= {name + "attn_output_norm": (width,), name + "layer_output_norm": (width,)}
    if ranks:
        shapes |= {"cls": (width, width), "cls.output": (1, width)}
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            encoder.weights[name] = chance.normal(size=shape).astype(np.float32)
            continue
        spread = chance.normal(scale=0.3, size=shape).astype(np.float32)
        is_norm = len(shape) == 1
        encoder.weights[name + ".weight"] = spread + np.float32(1) if is_norm else spread
        bias = chance.normal(scale=0.1, size=shape[0]).astype(np.float32)
        encoder.weights[name + ".bias"] = bias
    return encoder


# ── a model that fills in ───────────────────────────────────────────────────


def small_filler(path: Path, marks: Sequence[str] = ("<PRE>", "<SUF>", "<MID>")) -> Path:
    """A model of chance that has tokens for the text before, behind and in a gap."""
    chance, width, within = np.random.default_rng(5), 32, 64
    plain = ["▁", *map(chr, range(33, 127))]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *marks, *plain]
    kinds = [2, 3, 3, *([6] * 256), *([3] * 3), *([1] * len(plain))]
    gguf = (
        Gguf()
        .key("general.architecture", STRING, "llama")
        .key("llama.context_length", U32, 256)
        .key("llama.embedding_length", U32, width)
        .key("llama.feed_forward_length", U32, within)
        .key("llama.block_count", U32, 1)
        .key("llama.attention.head_count", U32, 4)
        .key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)
        .key("llama.rope.dimension_count", U32, 8)
        .key("tokenizer.ggml.model", STRING, "llama")
        .list_key("tokenizer.ggml.tokens", STRING, tokens)
        .list_key("tokenizer.ggml.scores", F32, [0.0] * len(tokens))
        .list_key("tokenizer.ggml.token_type", I32, kinds)
        .key("tokenizer.ggml.bos_token_id", U32, 1)
        .key("tokenizer.ggml.eos_token_id", U32, 2)
        .key("tokenizer.ggml.unknown_token_id", U32, 0)
    )
    for place, name in enumerate(("pre", "suf", "mid")):
        gguf.key(f"tokenizer.ggml.fim_{name}_token_id", U32, 259 + place)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (len(tokens), width),
        "output": (len(tokens), width),
        "blk.0.ffn_gate": (within, width),
        "blk.0.ffn_up": (within, width),
        "blk.0.ffn_down": (width, within),
    }
    shapes |= {f"blk.0.attn_{one}": (width, width) for one in ("q", "k", "v", "output")}
    for name, shape in shapes.items():
        put(gguf, name + ".weight", chance.normal(scale=0.3, size=shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        put(gguf, name + ".weight", np.ones(width, np.float32))
    path.write_bytes(gguf.bytes())
    return path
