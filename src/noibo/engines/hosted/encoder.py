"""An encoder (BERT, XLM-RoBERTa) as a graph of OpenVINO's, built straight from its safetensors.

OpenVINO multiplies in bfloat16 where the processor can (AMX, AVX-512), four times as fast as
PyTorch here, and needs neither PyTorch nor transformers. In the worker only. After transformers,
`modeling_bert.py` and `modeling_xlm_roberta.py`: the same sums in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset13 as op
from numpy.typing import NDArray

from noibo.engines.hosted.folder import ENCODERS, first_position
from noibo.engines.hosted.python_model import Json

Node = Any  # of OpenVINO's, which has no types
_DTYPES: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


class CannotLoad(Exception):
    """The folder is not a model that this can run; the text is why."""


class Weights:
    """The tensors of a folder's safetensors, by name, read as they are wanted."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, tuple[Path, int, Json]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header: dict[str, Json] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            self._places |= {name: (path, 8 + length, said) for name, said in header.items()}
        heads = {name.partition("embeddings.word_embeddings")[0] for name in self._places}
        self._prefix = next((one for one in heads if f"{one}{_WORDS}" in self._places), "")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Raises `CannotLoad` for one that is not there."""
        if (found := self._places.get(self._prefix + name)) is None:
            raise CannotLoad(f"it has no {name}: its kind is another.")
        path, start, said = found
        first, last = said["data_offsets"]
        if said["dtype"] not in _DTYPES:
            raise CannotLoad(f"{name} is {said['dtype']}.")
        numbers = np.fromfile(path, np.uint8, last - first, offset=start + first)
        flat = numbers.view(_DTYPES[said["dtype"]])
        if said["dtype"] == "BF16":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.astype(np.float32).reshape(said["shape"])


_WORDS: Final = "embeddings.word_embeddings.weight"


def build(folder: Path, config: Mapping[str, Any], pooling: str) -> ov.Model:
    """The graph: token ids and a mask in, vectors of length 1 out. Raises `CannotLoad`."""
    kind = config.get("model_type")
    if kind not in ENCODERS or config.get("position_embedding_type", "absolute") != "absolute":
        raise CannotLoad(f"it is of the kind {kind}, which is no encoder known here.")
    if config.get("hidden_act") != "gelu":
        raise CannotLoad(f"it has the activation {config.get('hidden_act')}.")
    return _Graph(Weights(folder), config, pooling).model()


class _Graph:
    """Puts the nodes together."""

    def __init__(self, weights: Weights, config: Mapping[str, Any], pooling: str) -> None:
        self._weights = weights
        self._config = config
        self._pooling = pooling
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))

    def model(self) -> ov.Model:
        """The whole."""
        ids = op.parameter([-1, -1], np.int64, name="ids")
        mask = op.parameter([-1, -1], np.float32, name="mask")
        # [texts, 1, 1, tokens]: nothing where there is a token, all against it where there is none
        away = op.multiply(op.subtract(mask, _number(1.0)), _number(1e4))
        away = op.unsqueeze(away, _axes(1, 2))
        rows = self._embedded(ids)
        for layer in range(int(self._config["num_hidden_layers"])):
            rows = self._layer(rows, away, f"encoder.layer.{layer}.")
        vectors = op.normalize_l2(self._pooled(rows, mask), _axes(1), 1e-12, "max")
        return ov.Model([vectors], [ids, mask], "encoder")

    def _embedded(self, ids: Node) -> Node:
        name = "embeddings."
        table = self._held(_WORDS)
        words = op.gather(table, ids, _axes(0))
        length = op.gather(op.shape_of(ids), op.constant(np.int64(1)), op.constant(np.int64(0)))
        first = op.constant(np.int64(first_position(self._config)))
        places = op.range(first, op.add(length, first), op.constant(np.int64(1)), "i64")
        positions = op.gather(self._held(name + "position_embeddings.weight"), places, _axes(0))
        kind = op.constant(self._weights[name + "token_type_embeddings.weight"][0])
        return self._norm(op.add(op.add(words, positions), kind), name + "LayerNorm")

    def _layer(self, rows: Node, away: Node, name: str) -> Node:
        heads = [
            self._parted(self._dense(rows, f"{name}attention.self.{part}"))
            for part in ("query", "key", "value")
        ]
        seen = op.scaled_dot_product_attention(*heads, away)
        joined = op.reshape(op.transpose(seen, _axes(0, 2, 1, 3)), _axes(0, 0, -1), True)
        said = self._dense(joined, name + "attention.output.dense")
        rows = self._norm(op.add(rows, said), name + "attention.output.LayerNorm")
        inner = op.gelu(self._dense(rows, name + "intermediate.dense"), "erf")
        said = self._dense(inner, name + "output.dense")
        return self._norm(op.add(rows, said), name + "output.LayerNorm")

    def _parted(self, rows: Node) -> Node:
        """[texts, tokens, width] as [texts, heads, tokens, width of a head]."""
        width = int(self._config["hidden_size"]) // self._heads
        parts = op.reshape(rows, _axes(0, 0, self._heads, width), True)
        return op.transpose(parts, _axes(0, 2, 1, 3))

    def _pooled(self, rows: Node, mask: Node) -> Node:
        if self._pooling == "cls":
            return op.gather(rows, op.constant(np.int64(0)), _axes(1))
        if self._pooling != "mean":
            raise CannotLoad(f"its vectors are pooled by {self._pooling}.")
        wide = op.unsqueeze(mask, _axes(2))
        total = op.reduce_sum(op.multiply(rows, wide), _axes(1), False)
        return op.divide(total, op.reduce_sum(wide, _axes(1), False))

    def _dense(self, rows: Node, name: str) -> Node:
        product = op.matmul(rows, self._held(name + ".weight"), False, True)
        return op.add(product, op.constant(self._weights[name + ".bias"]))

    def _norm(self, rows: Node, name: str) -> Node:
        even = op.mvn(rows, _axes(-1), True, self._epsilon, "inside_sqrt")
        scaled = op.multiply(even, op.constant(self._weights[name + ".weight"]))
        return op.add(scaled, op.constant(self._weights[name + ".bias"]))

    def _held(self, name: str) -> Node:
        """A matrix, held in 16 bits."""
        return op.convert(op.constant(self._weights[name].astype(np.float16)), np.float32)


def _number(value: float) -> Node:
    return op.constant(np.float32(value))


def _axes(*axes: int) -> Node:
    return op.constant(np.array(axes, np.int64))
