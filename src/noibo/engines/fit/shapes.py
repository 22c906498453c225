"""The layers of models that are not here.

What a conversation takes depends on layers, heads and windows, which no catalogue of downloads
tells. Of the models that people ask for they are known (from the makers' `config.json`); any other
is taken to be like the known one that is nearest in size, which its range has to pay for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.gguf.state_shape import LayerState

NEAR: Final = 1.25  # times as many parameters, or as few: of the same kind of size
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


@dataclass(frozen=True, slots=True)
class Shape:
    """`windowed` of `every` layers see only the last `window` tokens. `latent` numbers are kept of
    a token instead of keys and values (MLA). `expert` is the width of one of `experts`."""

    layers: int
    width: int
    within: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool = False
    window: int = 0
    every: int = 0  # the last of so many sees all
    experts: int = 0
    used: int = 0
    expert: int = 0
    latent: int = 0


_QWEN, _LLAMA3, _GEMMA = 152_064, 128_256, 262_144
# Name in the catalogue: parameters, shape.
_KNOWN: Final[dict[str, tuple[int, Shape]]] = {
    "smollm2:135m": (134_515_008, Shape(30, 576, 1536, 9, 3, 64, 49_152, True)),
    "gemma3:270m": (
        268_098_176,
        Shape(18, 640, 2048, 4, 1, 256, _GEMMA, True, window=512, every=6),
    ),
    "smollm2:360m": (361_821_120, Shape(32, 960, 2560, 15, 5, 64, 49_152, True)),
    "qwen2.5:0.5b": (494_032_768, Shape(24, 896, 4864, 14, 2, 64, 151_936, True)),
    "qwen3:0.6b": (596_049_920, Shape(28, 1024, 3072, 16, 8, 128, 151_936, True)),
    "gemma3:1b": (
        999_885_952,
        Shape(26, 1152, 6912, 4, 1, 256, _GEMMA, True, window=512, every=6),
    ),
    "tinyllama:1.1b": (1_100_048_384, Shape(22, 2048, 5632, 32, 4, 64, 32_000)),
    "llama3.2:1b": (1_235_814_400, Shape(16, 2048, 8192, 32, 8, 64, _LLAMA3, True)),
    "qwen2.5:1.5b": (1_543_714_304, Shape(28, 1536, 8960, 12, 2, 128, 151_936, True)),
    "smollm2:1.7b": (1_711_376_384, Shape(24, 2048, 8192, 32, 32, 64, 49_152, True)),
    "qwen3:1.7b": (1_720_574_976, Shape(28, 2048, 6144, 16, 8, 128, 151_936, True)),
    "gemma2:2b": (
        2_614_341_888,
        Shape(26, 2304, 9216, 8, 4, 256, 256_000, True, window=4096, every=2),
    ),
    "qwen2.5:3b": (3_085_938_688, Shape(36, 2048, 11_008, 16, 2, 128, 151_936, True)),
    "llama3.2:3b": (3_212_749_824, Shape(28, 3072, 8192, 24, 8, 128, _LLAMA3, True)),
    "phi3:3.8b": (3_821_079_552, Shape(32, 3072, 8192, 32, 32, 96, 32_064)),
    "phi4-mini:3.8b": (3_836_021_760, Shape(32, 3072, 8192, 24, 8, 128, 200_064, True)),
    "qwen3:4b": (4_022_468_096, Shape(36, 2560, 9728, 32, 8, 128, 151_936, True)),
    "gemma3:4b": (
        3_880_263_168,
        Shape(34, 2560, 10_240, 8, 4, 256, _GEMMA, True, window=1024, every=6),
    ),
    "llama2:7b": (6_738_415_616, Shape(32, 4096, 11_008, 32, 32, 128, 32_000)),
    "mistral:7b": (7_248_023_552, Shape(32, 4096, 14_336, 32, 8, 128, 32_768)),
    "qwen2.5:7b": (7_615_616_512, Shape(28, 3584, 18_944, 28, 4, 128, _QWEN)),
    "llama3:8b": (8_030_261_248, Shape(32, 4096, 14_336, 32, 8, 128, _LLAMA3)),
    "qwen3:8b": (8_190_735_360, Shape(36, 4096, 12_288, 32, 8, 128, 151_936)),
    "gemma2:9b": (
        9_241_705_984,
        Shape(42, 3584, 14_336, 16, 8, 256, 256_000, True, window=4096, every=2),
    ),
    "gemma3:12b": (
        11_765_788_416,
        Shape(48, 3840, 15_360, 16, 8, 256, _GEMMA, True, window=1024, every=6),
    ),
    "mistral-nemo:12b": (12_247_782_400, Shape(40, 5120, 14_336, 32, 8, 128, 131_072)),
    "llama2:13b": (13_015_864_320, Shape(40, 5120, 13_824, 40, 40, 128, 32_000)),
    "phi4:14b": (14_659_507_200, Shape(40, 5120, 17_920, 40, 10, 128, 100_352)),
    "qwen2.5:14b": (14_770_033_664, Shape(48, 5120, 13_824, 40, 8, 128, _QWEN)),
    "qwen3:14b": (14_768_307_200, Shape(40, 5120, 17_408, 40, 8, 128, 151_936)),
    "gpt-oss:20b": (
        20_914_757_184,
        Shape(
            *(24, 2880, 2880, 64, 8, 64, 201_088),
            window=128,
            every=2,
            experts=32,
            used=4,
            expert=2880,
        ),
    ),
    "codestral:22b": (22_247_282_688, Shape(56, 6144, 16_384, 48, 8, 128, 32_768)),
    "mistral-small:24b": (23_572_403_200, Shape(40, 5120, 32_768, 32, 8, 128, 131_072)),
    "gemma3:27b": (
        27_009_002_240,
        Shape(62, 5376, 21_504, 32, 16, 128, _GEMMA, True, window=1024, every=6),
    ),
    "qwen3:30b": (
        30_532_122_624,
        Shape(48, 2048, 6144, 32, 4, 128, 151_936, experts=128, used=8, expert=768),
    ),
    "qwen2.5:32b": (32_763_876_352, Shape(64, 5120, 27_648, 40, 8, 128, _QWEN)),
    "qwen3:32b": (32_762_123_264, Shape(64, 5120, 25_600, 64, 8, 128, 151_936)),
    "mixtral:8x7b": (
        46_702_792_704,
        Shape(32, 4096, 14_336, 32, 8, 128, 32_000, experts=8, used=2, expert=14_336),
    ),
    "llama3:70b": (70_553_706_496, Shape(80, 8192, 28_672, 64, 8, 128, _LLAMA3)),
    "qwen2.5:72b": (72_706_203_648, Shape(80, 8192, 29_568, 64, 8, 128, _QWEN)),
    "gpt-oss:120b": (
        116_829_156_672,
        Shape(
            *(36, 2880, 2880, 64, 8, 64, 201_088),
            window=128,
            every=2,
            experts=128,
            used=4,
            expert=2880,
        ),
    ),
    "qwen3:235b": (
        235_093_634_560,
        Shape(94, 4096, 12_288, 64, 4, 128, 151_936, experts=128, used=8, expert=1536),
    ),
    "llama3.1:405b": (405_853_388_800, Shape(126, 16_384, 53_248, 128, 8, 128, _LLAMA3)),
    "deepseek-v3:671b": (
        671_026_419_200,
        Shape(
            *(61, 7168, 18_432, 128, 1, 192, 129_280),
            experts=256,
            used=8,
            expert=2048,
            latent=576,
        ),
    ),
}


def find(name: str, parameters: int, active: int = 0) -> tuple[Shape, Literal["shape", "size"]]:
    """The shape of a model of the catalogue: its own, or that of the nearest in size. `active` are
    the parameters used for a token, of a mixture of experts: it is like none that uses all."""
    if name in _KNOWN:
        return _KNOWN[name][1], "shape"
    alike = {key: row for key, row in _KNOWN.items() if bool(row[1].experts) == bool(active)}
    named, (count, shape) = min(
        alike.items(), key=lambda row: abs(math.log(row[1][0] / max(parameters, 1)))
    )
    near = 1 / NEAR < parameters / count < NEAR
    family = name.partition(":")[0].partition("-")[0].rstrip("0123456789.")
    if near and family and named.startswith(family):
        return shape, "shape"
    return (shape if near else _scaled(shape, parameters / count)), "size"


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
    return 0 if shape.tied else shape.width * shape.vocabulary


def _state(shape: Shape) -> tuple[LayerState, ...]:
    keys = shape.latent or shape.kv_heads * shape.head
    values = 0 if shape.latent else keys
    whole = shape.layers // shape.every if shape.window else shape.layers
    found = (
        LayerState(shape.layers - whole, keys, values, shape.window),
        LayerState(whole, keys, values),
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
