"""A projector for SmolLM2 with weights drawn by chance: it sees nothing, but differently."""

from __future__ import annotations

import random
import struct
from math import prod, sqrt
from pathlib import Path

from tests.modelstore.gguf_builder import BOOL, F32, STRING, U32, Gguf

WIDTH, INNER, HEADS, LAYERS = 64, 128, 4, 2  # of the picture's side
TEXT_WIDTH = 576  # SmolLM2-135M's
SIDE, PATCH = 56, 14
TOKENS = (SIDE // PATCH) ** 2  # that one picture becomes


def projector(path: Path) -> Path:
    """Write one of the kind that LLaVA has: patches, a transformer, two layers into the text."""
    gguf = _header()
    for name, shape in _tensors().items():
        gguf.tensor(name, shape)
    gguf.data = b""
    chance = random.Random(7)
    for name, shape in _tensors().items():
        gguf.data += _numbers(chance, name, shape)
        gguf.data += bytes(-len(gguf.data) % gguf.alignment)
    path.write_bytes(gguf.bytes())
    return path


def _header() -> Gguf:
    gguf = Gguf()
    for key, kind, value in (
        ("general.architecture", STRING, "clip"),
        ("general.type", STRING, "mmproj"),
        ("general.name", STRING, "Chance"),
        ("clip.has_vision_encoder", BOOL, True),
        ("clip.projector_type", STRING, "mlp"),
        ("clip.use_gelu", BOOL, True),
        ("clip.vision.image_size", U32, SIDE),
        ("clip.vision.patch_size", U32, PATCH),
        ("clip.vision.embedding_length", U32, WIDTH),
        ("clip.vision.feed_forward_length", U32, INNER),
        ("clip.vision.projection_dim", U32, TEXT_WIDTH),
        ("clip.vision.block_count", U32, LAYERS),
        ("clip.vision.attention.head_count", U32, HEADS),
        ("clip.vision.attention.layer_norm_epsilon", F32, 1e-5),
    ):
        gguf.key(key, kind, value)
    gguf.list_key("clip.vision.image_mean", F32, [0.5, 0.5, 0.5])
    gguf.list_key("clip.vision.image_std", F32, [0.5, 0.5, 0.5])
    return gguf


def _tensors() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "v.class_embd": (WIDTH,),
        "v.patch_embd.weight": (PATCH, PATCH, 3, WIDTH),
        "v.position_embd.weight": (WIDTH, TOKENS + 1),
        "v.pre_ln.weight": (WIDTH,),
        "v.pre_ln.bias": (WIDTH,),
        "mm.0.weight": (WIDTH, INNER),
        "mm.0.bias": (INNER,),
        "mm.2.weight": (INNER, TEXT_WIDTH),
        "mm.2.bias": (TEXT_WIDTH,),
    }
    for layer in range(LAYERS):
        block = f"v.blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            found |= {f"{block}{name}.weight": (WIDTH, WIDTH), f"{block}{name}.bias": (WIDTH,)}
        for name in ("ln1", "ln2"):
            found |= {f"{block}{name}.weight": (WIDTH,), f"{block}{name}.bias": (WIDTH,)}
        found |= {
            f"{block}ffn_up.weight": (WIDTH, INNER),
            f"{block}ffn_up.bias": (INNER,),
            f"{block}ffn_down.weight": (INNER, WIDTH),
            f"{block}ffn_down.bias": (WIDTH,),
        }
    return found


def _numbers(chance: random.Random, name: str, shape: tuple[int, ...]) -> bytes:
    """Weights that keep the size of what passes through; norms that change nothing."""
    count = prod(shape)
    if name.endswith(".bias"):
        return bytes(4 * count)
    if "ln" in name:
        return struct.pack("<f", 1.0) * count
    spread = sqrt(3 / prod(shape[:-1])) if len(shape) > 1 else 1.0
    return struct.pack(f"<{count}f", *(chance.uniform(-spread, spread) for _ in range(count)))
