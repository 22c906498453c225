"""The layers of models that are not here.

What a conversation takes depends on layers, heads and windows, which no catalogue of downloads
tells. Of the models that people ask for they are known (from the makers' `config.json`), and of
what was made of those: it is of the same family and about as large, or has just as many parameters.
Any other is taken to be like the known one nearest in size, of those whose layers all see all
tokens; its range has to pay for that.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any, Final, Literal

from noibo.engines.fit.known_shapes import KNOWN, Shape
from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.gguf.state_shape import LayerState

NEAR: Final = 1.25  # times as many parameters, or as few: of the same kind of size
ROUND: Final = 10**6  # a count of whole millions was rounded: it proves nothing
_LLAMA3_X: Final = re.compile(r"llama3\.\d+")
# Bits per weight of what other engines run: 4 bits, a scale and a zero for each 128 weights. The
# tables by which tokens are looked up and scored stay in 16 bits.
ELSEWHERE: Final = {"AWQ": 4.16, "GPTQ": 4.16, "NF4": 4.5, "BNB": 4.5}
# Of the matrices' bytes in a mix, how many are in which type of ggml; else all are in one.
_MIXES: Final[dict[str, dict[str, float]]] = {
    "Q4_K_M": {"Q4_K": 0.7, "Q6_K": 0.3},
    "Q4_K_L": {"Q4_K": 0.7, "Q6_K": 0.3},
    "Q4_K_S": {"Q4_K": 0.9, "Q5_K": 0.1},
    "Q5_K_M": {"Q5_K": 0.75, "Q6_K": 0.25},
    "Q5_K_L": {"Q5_K": 0.75, "Q6_K": 0.25},
}


def find(name: str, parameters: int, active: int = 0) -> tuple[Shape, Literal["shape", "size"]]:
    """The shape of a model of the catalogue: its own, or that of the nearest in size. `active` are
    the parameters used for a token, of a mixture of experts: it is like none that uses all."""
    if name in KNOWN:
        return KNOWN[name][1], "shape"
    alike = {key: row for key, row in KNOWN.items() if bool(row[1].experts) == bool(active)}
    made_of = [
        row
        for key, row in alike.items()
        if (_is_of(name, key) and _is_near(parameters, row[0]))
        or (parameters == row[0] and parameters % ROUND)
    ]
    if made_of:
        return _nearest(made_of, parameters)[1], "shape"
    count, shape = _nearest([row for row in alike.values() if row[1].plain], parameters)
    near = _is_near(parameters, count)
    return (shape if near else _scaled(shape, parameters / count)), "size"


def _nearest(rows: list[tuple[int, Shape]], parameters: int) -> tuple[int, Shape]:
    return min(rows, key=lambda row: abs(math.log(row[0] / max(parameters, 1))))


def _is_near(parameters: int, count: int) -> bool:
    return 1 / NEAR < parameters / count < NEAR


def _is_of(name: str, known: str) -> bool:
    """Whether a model is of a known one's family: `qwen3-vl:8b` of that of `qwen3:8b`, which
    `qwen3.5:9b` is not: another version has other layers, but for those of Llama 3."""
    family, other = (_LLAMA3_X.sub("llama3", one.partition(":")[0]) for one in (name, known))
    return family == other or family.startswith(f"{other}-")


def _scaled(shape: Shape, times: float) -> Shape:
    """The same made larger or smaller in all directions: parameters grow with the third power."""
    side = times ** (1 / 3)
    return replace(
        shape,
        layers=max(round(shape.layers * side), 1),
        width=max(round(shape.width * side / 64), 1) * 64,
        within=max(round(shape.within * side / 64), 1) * 64,
        heads=max(round(shape.heads * side), 1),
    )


def described(shape: Shape, parameters: int, quantisation: str, context: int) -> ModelInfo:
    """What the header of such a file would say."""
    facts: dict[str, Any] = dict.fromkeys(ModelInfo.__slots__)
    facts |= {
        "kind": "model",
        "gguf_version": 3,
        "tensors": 0,
        "languages": (),
        "tags": (),
        "chat_templates": {},
        "parameters": parameters,
        "context_length": context or None,
        "layers": shape.layers,
        "embedding_length": shape.width,
        "feed_forward_length": shape.within,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "key_length": shape.head,
        "value_length": shape.head,
        "experts": shape.experts or None,
        "experts_used": shape.used or None,
        "expert_feed_forward_length": shape.expert or None,
        "tokenizer": "gpt2",
        "vocabulary_size": shape.vocabulary,
        "state": _state(shape),
    }
    rows = shape.width * shape.vocabulary
    facts |= _stored(parameters, quantisation, _looked_up(shape), rows)
    return ModelInfo(**facts)


def _looked_up(shape: Shape) -> float:
    """Parameters that are looked up and never multiplied with."""
    table = 0 if shape.tied else shape.width * shape.vocabulary
    return table + shape.layers * shape.beside


def _state(shape: Shape) -> tuple[LayerState, ...]:
    keys = shape.latent or shape.kv_heads * shape.head
    values = 0 if shape.latent else keys
    layers = shape.layers - shape.borrowed
    whole = layers // shape.every if shape.every else layers
    others = (0, 0, 0, shape.fixed) if shape.fixed else (keys, values, shape.window)
    found = (
        LayerState(layers - whole, *others),
        LayerState(whole, shape.wide or keys, shape.wide or values),
    )
    return tuple(group for group in found if group.layers)


def requantised(info: ModelInfo, parameters: int, quantisation: str) -> ModelInfo:
    """The same header over weights that are stored otherwise."""
    multiplied = sum(info.matrices.values())
    looked_up = info.parameters * max(1 - multiplied / max(info.tensor_bytes, 1), 0.0)
    rows = (info.vocabulary_size or 0) * (info.embedding_length or 0)
    return replace(info, **_stored(parameters, quantisation, looked_up, rows))


def _stored(parameters: int, quantisation: str, looked_up: float, scored: int) -> dict[str, Any]:
    size = weight_bytes(parameters, quantisation, round(looked_up) + scored)
    beside = 2 * looked_up if quantisation in ELSEWHERE else size * looked_up / max(parameters, 1)
    multiplied = round(max(size - beside, 0.0))
    mix = _MIXES.get(quantisation, {_type(quantisation): 1.0})
    return {
        "file_size": size,
        "tensor_bytes": size,
        "quantisation": _type(quantisation),
        "file_type": quantisation,
        "bits_per_weight": round(8 * size / max(parameters, 1), 2),
        "matrices": {kind: round(multiplied * share) for kind, share in mix.items()},
    }


def weight_bytes(parameters: int, quantisation: str, tables: int = 0) -> int:
    """Bytes of that many weights in a quantisation of llama.cpp's, or of another engine's, which
    leaves those in `tables` in 16 bits."""
    if (bits := ELSEWHERE.get(quantisation)) is not None:
        tables = min(tables, parameters)
        return round(2 * tables + (parameters - tables) * bits / 8)
    return q.memory(parameters, quantisation)


def _type(quantisation: str) -> str:
    """The type of ggml that most of a mix is in: Q3_K of Q3_K_S."""
    head, _, size = quantisation.rpartition("_")
    return head if size in {"S", "M", "L", "XL"} and head.endswith("_K") else quantisation
