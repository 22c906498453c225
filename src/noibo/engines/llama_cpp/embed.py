"""How an embedding worker is made from what a chat worker of the same model would be.

A vector is pooled over all tokens of an input, so an input is read in one piece: the batch holds
the longest one there may be, or several short ones side by side, as many as there are slots. Only a
model that takes the vector of the last token, and keeps the state of those before, can read in
pieces.

Encoders keep no state at all. The slots of the others share one pool of it (`kv_unified`): cut off
from each other, llama.cpp reads unlike inputs in unlike pieces, and pools each piece by itself. The
pool is as long as all slots together, since it fails requests when it runs full.

llama.cpp wants room for the scores of all tokens of the vocabulary after every token that is read,
and where it computes them (in all models but encoders) once more: that is most of what a long input
takes, and the reason why a model with a large vocabulary is not given its longest by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from noibo import settings
from noibo.engines.engine import Launch, Model
from noibo.engines.memory.estimate import kv_bytes, need_of
from noibo.engines.memory.size import USUAL_SLOTS, Need, Size
from noibo.modelstore.gguf.model_info import ModelInfo

LEAST_CONTEXT: Final = 512  # for want of memory no shorter, if the model was trained for it
LONGEST_DEFAULT: Final = 8192
MOST_SCORES: Final = 2**30  # bytes, where nobody says how long an input may be
SLOTS: Final = 8  # inputs side by side, where they take nothing
FLOAT: Final = 4
# Architectures of which llama.cpp keeps no state.
ENCODERS: Final = frozenset(
    {
        "bert",
        "eurobert",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)


def only_embeds(model: Model) -> bool:
    """True of a model that cannot write."""
    info = model.info
    return info is not None and (info.architecture in ENCODERS or info.pooling == "rank")


def pooling_of(model: Model) -> str:
    """How the vectors of all tokens become one: as the header says, else their mean."""
    return (model.info.pooling if model.info else None) or "mean"


def size(model: Model, wanted: Size, limits: settings.Engine) -> Size:
    """As long as was set, else as the model was trained for, within reason; nothing is kept. What
    is read in pieces takes what a chat of that length does."""
    slots = limits.parallel or (SLOTS if _is_encoder(model) else USUAL_SLOTS)
    as_a_chat = limits.ctx_size or _in_pieces(model)
    longest = wanted.context if as_a_chat else _affordable(model)
    context = min(longest, model.trained_context or longest)
    return replace(wanted, context=context, parallel=slots, kv_type="f16", kept_bytes=0)


def batch(model: Model, most: int, size: Size) -> int:
    """Tokens to read at a time: the longest input, unless it can be read in pieces."""
    return min(most, size.context) if _in_pieces(model) else size.context


def need(model: Model, size: Size, batch: int) -> Need:
    """What it takes. It grows by what it computes in: nothing of that is touched before the first
    input, and most of it by the longest alone."""
    info = model.info
    if info is None or not info.state:
        return need_of(model, size, batch)
    plain = need_of(model, replace(size, parallel=1, kept_bytes=0), batch)
    kv = 0 if _is_encoder(model) else kv_bytes(info, size, batch)
    return Need(plain.weights, kv, 0, plain.base, kept=_computed(model, info, size, batch))


def launch(chat: Launch, model: Model) -> Launch:
    """From how a chat worker of that size and batch is started. No prompt is read as a proof:
    vectors are all that it gives."""
    longest = size_of_longest(model, chat.size)
    return replace(
        chat,
        config={**chat.config, "pooling": pooling_of(model), "projector": "", "template": ""},
        placement={**chat.placement, "pooling": pooling_of(model), "longest_input": longest},
        proof_tokens=0,
    )


def size_of_longest(model: Model, size: Size) -> int:
    """Tokens that one input may have. Read in pieces, one less: a token could follow it."""
    return size.context - 1 if _in_pieces(model) else size.context


def _is_encoder(model: Model) -> bool:
    return model.info is not None and model.info.architecture in ENCODERS


def _in_pieces(model: Model) -> bool:
    return pooling_of(model) == "last" and not _is_encoder(model)


def _affordable(model: Model) -> int:
    """The longest input that is worth its memory, where nobody says how long one may be."""
    context = LONGEST_DEFAULT
    while context > LEAST_CONTEXT and context * _scores(model) > MOST_SCORES:
        context //= 2
    return context


def _scores(model: Model) -> int:
    """Bytes of the scores of all tokens after one, as often as they are held."""
    known = model.info.vocabulary_size if model.info else None
    copies = 1 if _is_encoder(model) else 2
    return copies * FLOAT * (known or 256 * 1024)


def _computed(model: Model, info: ModelInfo, size: Size, batch: int) -> int:
    """A layer's values for the batch or the scores, whichever is more; the scores where they are
    read; masks of who sees whom; vectors of all tokens."""
    width, within = info.embedding_length or 0, info.feed_forward_length or 0
    encoder = _is_encoder(model)
    read = batch * FLOAT * (info.vocabulary_size or 0)
    layer = batch * FLOAT * (2 * within + 8 * width)
    seen = batch if encoder else size.context * size.parallel
    vectors = 2 * batch * FLOAT * width
    return max(layer, 0 if encoder else read) + read + 2 * batch * seen + vectors
