"""How a scoring worker is made from what a chat worker of the same model would be.

The weights are pages of the same file, which the system holds once for both. It has one slot, and
needs no state for others; but it wants the scores of all tokens after each token that it reads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from noibo import settings
from noibo.engines.engine import Launch, Model
from noibo.engines.memory.estimate import need_of
from noibo.engines.memory.size import Need, Size

LEAST_CONTEXT: Final = 1024  # for want of memory no shorter, if the model was trained for it
MOST_SCORES: Final = 64 * 2**20  # bytes of the scores of one batch; held twice
ARRAYS: Final = 40 * 2**20  # what computing with them takes: its library, and parts of a batch
# What texts share, as many as are read side by side, and one that fills batches up.
SEQUENCES: Final = 1 + 8 + 1
FOUR: Final = 4  # batches are multiples of it: see `model`
# Flash attention reads 64 tokens and more at a time by another kernel on a processor, which rounds
# otherwise than the one that writes: 0.4 nat apart in a small model. One must not depend on which
# texts were read together, so no batch is that long.
MOST_TOKENS: Final = 60


def size(model: Model, wanted: Size, limits: settings.Engine) -> Size:
    """One text at a time, and nothing kept for others."""
    return replace(wanted, parallel=1, kept_bytes=0)


def batch(model: Model, most: int, size: Size) -> int:
    """Tokens to read at a time, so that their scores do not take too much; the library wants room
    for those of one token of each sequence."""
    fitting = min(most, MOST_TOKENS, MOST_SCORES // _scores(model))
    fours = max(fitting, SEQUENCES + FOUR - 1) // FOUR
    return fours * FOUR


def need(model: Model, size: Size, batch: int) -> Need:
    """What it takes: the state of every token also where a layer sees only a window, as a text
    goes back to where another left; a state of fixed size for each sequence."""
    info = model.info
    if info is not None:
        state = tuple(
            replace(group, window=0, fixed=group.fixed * SEQUENCES) for group in info.state
        )
        model = replace(model, info=replace(info, state=state))
    found = need_of(model, size, batch)
    scores = 2 * batch * _scores(model)
    return replace(found, compute=found.compute + scores, base=found.base + ARRAYS)


def launch(chat: Launch, model: Model) -> Launch:
    """From how a chat worker of that size and batch is started. A first prompt is read while it
    loads, and proves nothing of speed: a score costs more than a prompt token of a chat."""
    return replace(
        chat,
        module="noibo.engines.llama_cpp.score_process",
        config={**chat.config, "sequences": SEQUENCES},
        proof_tokens=0,
    )


def _scores(model: Model) -> int:
    """Bytes of the scores of all tokens after one."""
    known = model.info.vocabulary_size if model.info else None
    return 4 * (known or 256 * 1024)
