"""What a worker of llama.cpp takes, by its model's header.

It takes its weights (mapped from the file, and some of them a second time, in another order), the
state of its conversations (KV cache), buffers to compute in, the vocabulary, and itself. How
llama.cpp sizes each was read from its log and measured: see `docs/memory.md` and
`python -m benchmarks memory`. A model whose header says nothing gets a generous guess.
"""

from __future__ import annotations

import platform
from fractions import Fraction
from pathlib import Path
from typing import Final

from noibo.engines.engine import Model
from noibo.engines.memory.size import Need, Size
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.gguf.state_shape import LayerState
from noibo.settings import KvType

MIB: Final = 2**20
PROCESS: Final = 38 * MIB  # Python, the library and its server; measured
TOKEN: Final = 210  # of the vocabulary: its text, three tables; measured
MERGE: Final = 200  # a pair to join, of a vocabulary of byte pairs, about one a token; measured
PICTURES: Final = 128 * MIB  # what a projector computes in: a guess
GUESS: Final = 1.15  # weights without a header, by the size of their files
STATE_GUESS: Final = 24 * 1024, 2**15  # bytes a token: this, or of the files one part in so many
CELLS: Final = 256  # the length of a cache is rounded up to a multiple
CHECKPOINTS: Final = 2  # most states to go back to that are kept of each slot
NUMBER: Final[dict[KvType, Fraction]] = {"f16": Fraction(2), "q8_0": Fraction(34, 32)}
# Matrices of these types are copied into an order that the processor reads faster.
_X86: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_ARM: Final = _X86 | {"Q5_K", "Q6_K", "Q8_0"}
_ON: Final = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM}
REORDERED: Final = _ON.get(platform.machine().lower(), frozenset())


def need_of(model: Model, size: Size, batch: int) -> Need:
    """What a worker of that size takes when it reads `batch` prompt tokens at a time."""
    info = model.info
    if info is None or not info.state:
        return _guess(model, size)
    pictures = PICTURES if model.projector else 0
    return Need(
        weights=_weights(model, info),
        kv=kv_bytes(info, size, batch),
        compute=_compute(info, size, batch) + pictures,
        base=PROCESS + _vocabulary(info),
        kept=kept_most(info, size, batch),
    )


def _guess(model: Model, size: Size) -> Need:
    a_token = max(STATE_GUESS[0], model.bytes // STATE_GUESS[1])
    state = a_token * size.context * size.parallel
    return Need(int(model.bytes * GUESS), state, 64 * MIB, PROCESS + 64 * MIB, size.kept_bytes)


def _weights(model: Model, info: ModelInfo) -> int:
    """All tensors as they are, and once more those that are put into another order: of a projector
    and of adapters none is. The header is that of the first of the model's parts."""
    beside = sum(map(length_of, (model.projector, *model.adapters)))
    here = max(info.tensor_bytes, 1)
    parts = max(model.bytes - beside - info.file_size, 0) + here
    twice = sum(size for kind, size in info.matrices.items() if kind in REORDERED)
    return parts + beside + twice * parts // here


def length_of(path: Path | None) -> int:
    """Bytes of a file that comes with a model; 0 where there is none."""
    try:
        return path.stat().st_size if path else 0
    except OSError:
        return 0


def _vocabulary(info: ModelInfo) -> int:
    tokens = info.vocabulary_size or 0
    return tokens * (TOKEN + MERGE if info.tokenizer == "gpt2" else TOKEN)


def kv_bytes(info: ModelInfo, size: Size, batch: int) -> int:
    """The state of all slots, as it is set aside at the start."""
    return size.parallel * sum(
        group.layers
        * (int(_a_token(group, size.kv_type) * _cells(group, size, batch)) + group.fixed)
        for group in info.state
    )


def _a_token(group: LayerState, kind: KvType) -> Fraction:
    return (group.keys + group.values) * NUMBER[kind]


def _cells(group: LayerState, size: Size, batch: int) -> int:
    """A layer that sees a window holds it and the batch that is read."""
    length = _rounded(size.context)
    return _rounded(min(length, group.window + batch)) if group.window else length


def _rounded(cells: int) -> int:
    return -(-cells // CELLS) * CELLS


def _compute(info: ModelInfo, size: Size, batch: int) -> int:
    """What one step needs at most: a layer's intermediate values for the batch, or the scores of
    all tokens for one answer of each slot; masks of who sees whom; and the scores once more,
    where the server reads them."""
    width, within = info.embedding_length or 0, info.feed_forward_length or 0
    if info.experts_used:
        within = max(within, info.experts_used * (info.expert_feed_forward_length or 0))
    scores = 4 * size.parallel * (info.vocabulary_size or 0)
    layer = batch * 4 * (2 * within + 8 * width)
    last = scores + batch * 8 * width
    masks = 2 * batch * sum({_cells(group, size, batch) for group in info.state if group.keys})
    return max(layer, last) + masks + scores


def step_back_bytes(info: ModelInfo, size: Size) -> int:
    """One state that a slot can go back to. Models that keep every token go back without."""
    return sum(
        group.layers
        * (int(_a_token(group, size.kv_type) * min(group.window, size.context)) + group.fixed)
        for group in info.state
    )


def checkpoints(info: ModelInfo | None, size: Size) -> int:
    """How many states to go back to each slot may keep of the bytes there are for that."""
    one = step_back_bytes(info, size) if info else 0
    return min(CHECKPOINTS, size.kept_bytes // (one * size.parallel)) if one else 0


def cache_mib(info: ModelInfo | None, size: Size) -> int:
    """What is left of those bytes for conversations without a slot. A model that must go back by
    checkpoints cannot use a kept conversation without one: measured, nothing of it was reused."""
    one = step_back_bytes(info, size) if info else 0
    spent = checkpoints(info, size) * size.parallel * one
    return 0 if one and not spent else (size.kept_bytes - spent) // MIB


def kept_most(info: ModelInfo, size: Size, batch: int) -> int:
    """The most that kept state may take: llama.cpp always keeps one conversation, were it larger
    than it is told to keep."""
    cache = cache_mib(info, size) * MIB
    slot = kv_bytes(info, size, batch) // size.parallel
    spent = checkpoints(info, size) * size.parallel * step_back_bytes(info, size)
    return spent + (max(cache, slot) if cache else 0)
