"""The arithmetic of one token: what is computed, and what is read from memory.

A token is multiplied with every active weight once (two operations each), and looks at all tokens
before it with every query head; heads of keys and values may be fewer, but each query head
computes with one of them. Writing is bounded by what is read: the active weights once for all
callers, and the state of each caller's conversation.
"""

from __future__ import annotations

from dataclasses import dataclass

from noibo.engines.fit.ask import Ask, parameters_of
from noibo.engines.memory.estimate import NUMBER
from noibo.modelstore.gguf.model_info import ModelInfo


@dataclass(frozen=True, slots=True)
class Work:
    """Of one step in which callers write a token each: bytes of weights and of state that are read,
    operations, and layers. `prompt` is operations to read one token of a prompt as long as their
    conversations, on average."""

    weights: int = 0
    state: int = 0
    flops: float = 0.0
    layers: int = 0
    prompt: float = 0.0

    @property
    def bytes(self) -> int:
        return self.weights + self.state


def work_of(ask: Ask, tokens: int, callers: int = 1) -> Work | None:
    """The work of one step of conversations of so many tokens; None where nothing is known of the
    model."""
    info, parameters = ask.model.info, parameters_of(ask.model)
    read = _read_bytes(ask)
    if not parameters or not read:
        return None
    share = _active_share(ask, parameters, 1)
    multiplied = parameters * read / max(_whole_bytes(ask), 1)
    scores = _scores(info)
    tall = max(multiplied - scores, 0.0) * share
    return Work(
        weights=round(read * _active_share(ask, parameters, callers)),
        state=callers * _state_bytes(ask, info, tokens),
        flops=callers * (2 * (tall + scores) + _attention(info, tokens)),
        layers=(info.layers if info else 0) or 0,
        prompt=2 * tall + _attention(info, tokens / 2),
    )


def _whole_bytes(ask: Ask) -> int:
    """Bytes of the model's tensors, of all parts, without what came along."""
    info = ask.model.info
    files = ask.model.bytes - ask.adapter_bytes - ask.projector_bytes
    return max(files - info.file_size, 0) + info.tensor_bytes if info else max(files, 0)


def _read_bytes(ask: Ask) -> int:
    """Bytes of the weights that vectors are multiplied with, of all parts, and of adapters."""
    info, whole = ask.model.info, _whole_bytes(ask)
    if info is None or not info.matrices:
        return whole + ask.adapter_bytes
    part = sum(info.matrices.values())
    return round(part * whole / max(info.tensor_bytes, 1)) + ask.adapter_bytes


def _scores(info: ModelInfo | None) -> int:
    """Weights that only a token which is answered meets: those that score the vocabulary."""
    return (info.vocabulary_size or 0) * (info.embedding_length or 0) if info else 0


def _active_share(ask: Ask, parameters: int, callers: int) -> float:
    """Of all weights, those that a step of so many callers uses: each takes experts of its own."""
    info = ask.model.info
    count, used = (info.experts or 0, info.experts_used or 0) if info else (0, 0)
    if not count or not used:
        one = ask.active / parameters if ask.active else 1.0
        return min(one * callers, 1.0) if one < 1 else 1.0
    of_experts = _expert_share(ask, parameters, used / count)
    met = 1 - (1 - min(used / count, 1.0)) ** callers
    return 1 - of_experts * (1 - met)


def _expert_share(ask: Ask, parameters: int, used: float) -> float:
    """The part of all weights that lies in experts: by what is said to be active, or counted."""
    if 0 < ask.active < parameters and used < 1:
        return min((1 - ask.active / parameters) / (1 - used), 1.0)
    info = ask.model.info
    if info is None:
        return 0.0
    within = info.expert_feed_forward_length or info.feed_forward_length or 0
    weights = 3 * within * (info.embedding_length or 0) * (info.layers or 0) * (info.experts or 0)
    return min(weights / parameters, 0.98)


def _state_bytes(ask: Ask, info: ModelInfo | None, tokens: int) -> int:
    """State of one conversation that is read to write a token."""
    if info is None or not ask.writes:
        return 0
    number = NUMBER[ask.kv_type]
    return sum(
        group.layers * (int((group.keys + group.values) * number * _seen(group.window, tokens)))
        + group.layers * group.fixed
        for group in info.state
    )


def _attention(info: ModelInfo | None, tokens: float) -> float:
    """Operations of one token that looks at so many: its product with every key, and with every
    value, for each query head."""
    if info is None:
        return 0.0
    each = (info.heads or 0) * ((info.key_length or 0) + (info.value_length or 0))
    return sum(
        2.0 * group.layers * each * _seen(group.window, tokens)
        for group in info.state
        if group.keys
    )


def _seen(window: int, tokens: float) -> float:
    return min(tokens, window) if window else tokens
