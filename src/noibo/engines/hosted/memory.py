"""What a worker of transformers takes, by the folder of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.engines.engine import Model, Verb
from noibo.engines.hosted.folder import Folder
from noibo.engines.memory.size import Need, Size

MIB: Final = 2**20
PROCESS: Final = 420 * MIB  # Python, torch and transformers; measured
ROUNDING: Final = 120 * MIB  # bitsandbytes beside them; measured
BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
PARTS: Final = {"8bit": 1.0, "nf4": 0.5625}  # bytes of a weight that is rounded
FLOAT: Final = 4
LARGEST_BATCH: Final = 64  # prompt tokens at a time: scores of each may be wanted
TOKENS: Final = 2048  # of inputs that are read side by side for their vectors


@dataclass(frozen=True, slots=True)
class Loading:
    """How weights are held: the type they are computed in, and how they are rounded, if at all."""

    dtype: str
    load_in: str = ""


def need_of(model: Model, folder: Folder, size: Size, loading: Loading) -> Need:
    """Weights, the state of one text, what a batch computes in, and the process itself."""
    each = BYTES.get(loading.dtype, FLOAT)
    parameters = model.parameters or model.bytes // BYTES.get(folder.dtype, FLOAT)
    outside = min(folder.vocabulary * folder.width, parameters)  # embeddings stay as they are
    rounded = PARTS.get(loading.load_in, float(each))
    weights = int((parameters - outside) * rounded) + outside * each
    embeds = model.verb is Verb.EMBED
    kv = 0 if embeds else 2 * folder.layers * folder.keys * each * size.context
    rows = max(TOKENS, size.context) if embeds else LARGEST_BATCH
    scores = 0 if embeds else FLOAT * folder.vocabulary * (rows + 4)
    compute = rows * FLOAT * (2 * folder.inner + 8 * folder.width) + scores
    # what was read to be rounded is freed, and not given back to the system
    read = ROUNDING + parameters * each if loading.load_in else 0
    # the state grows with the text that is read, and is joined anew with each token
    return Need(weights, 0, 2 * compute, PROCESS + read, kept=kv + kv // 4)
