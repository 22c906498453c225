"""What the layers of a model keep of a conversation while it goes on.

Most layers keep a key and a value of every token; some of the last tokens only (a sliding window);
some a state of fixed size instead (recurrent layers, convolutions), and some nothing, as they use
another layer's. A header says it in keys that grew over the years; where it leaves something to
the architecture, that is in the tables here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from noibo.modelstore.gguf.said import Said

_F32: Final = 4
_MAX_LAYERS: Final = 10_000

# Every n-th layer sees all tokens where the header does not say which: the last of n, or the first.
_PERIODS: Final = {
    "afmoe": 4,
    "cohere2": 4,
    "exaone-moe": 4,
    "exaone4": 4,
    "gemma-embedding": 6,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "laguna": 4,
    "llama4": 4,
    "olmo2": 4,
    "plamo3": 8,
    "smallthinker": 4,
}
_FIRST_SEES_ALL: Final = frozenset({"laguna", "smallthinker"})
_WINDOWS: Final = {"llama4": 8192}
_OWN_LAYERS: Final = {"gemma3n": 20}  # layers from there on use the state of these
_BOTH: Final = frozenset({"falcon-h1"})  # attention and a recurrent state in one layer
_INTERVALS: Final = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
_APART: Final = frozenset({"nemotron_h", "nemotron_h_moe"})  # layers of a network alone: no state


@dataclass(frozen=True, slots=True)
class LayerState:
    """What `layers` layers keep, each: numbers of a key and of a value for a token, for the last
    `window` tokens (0: for all), and `fixed` bytes whatever the length."""

    layers: int
    keys: int
    values: int
    window: int = 0
    fixed: int = 0


def layer_states(said: Said) -> tuple[LayerState, ...]:
    """Layers that are alike together; () where the header does not say enough."""
    layers = _layers(said)
    heads = _by_layer(said, "{arch}.attention.head_count_kv", layers) or _by_layer(
        said, "{arch}.attention.head_count", layers
    )
    fixed = _fixed(said)
    if not layers or not (heads or fixed):
        return ()
    windows = _windows(said, layers)
    found: Counter[LayerState] = Counter()
    for layer in range(layers):
        kept_heads = heads[layer] if heads else 0
        recurrent = fixed if _is_recurrent(said, layer, kept_heads) else 0
        if recurrent and said.architecture not in _BOTH:
            kept_heads = 0
        keys, values = _lengths(said, windowed=windows[layer] > 0)
        found[LayerState(1, kept_heads * keys, kept_heads * values, windows[layer], recurrent)] += 1
    return tuple(
        LayerState(count, one.keys, one.values, one.window, one.fixed)
        for one, count in found.items()
    )


def _layers(said: Said) -> int:
    """Layers with a state of their own: not those that only guess further tokens, or borrow."""
    blocks = said.number("{arch}.block_count") or 0
    layers = blocks - (said.number("{arch}.nextn_predict_layers") or 0)
    layers -= said.number("{arch}.attention.shared_kv_layers") or 0
    most = _OWN_LAYERS.get(said.architecture or "", _MAX_LAYERS)
    return max(min(layers, most, _MAX_LAYERS), 0)


def _by_layer(said: Said, key: str, layers: int) -> tuple[int, ...]:
    numbers = said.numbers(key)
    if len(numbers) == 1:
        return numbers * layers
    return numbers if len(numbers) >= layers else ()


def _lengths(said: Said, *, windowed: bool) -> tuple[int, int]:
    """Numbers in the key and in the value of one head."""
    width, heads = (
        said.number("{arch}.embedding_length"),
        said.number("{arch}.attention.head_count"),
    )
    derived = width // heads if width and heads else 0
    keys = said.number("{arch}.attention.key_length") or derived
    values = said.number("{arch}.attention.value_length") or derived
    if windowed:
        keys = said.number("{arch}.attention.key_length_swa") or keys
        values = said.number("{arch}.attention.value_length_swa") or values
    if said.number("{arch}.attention.key_length_mla"):  # the value is a part of the key
        values = 0
    return keys, values


def _windows(said: Said, layers: int) -> list[int]:
    """Tokens that each layer sees, 0 for all. An unknown pattern is none: never too little."""
    name = said.architecture or ""
    window = said.number("{arch}.attention.sliding_window")
    window = _WINDOWS.get(name, 0) if window is None else window
    pattern = said.flags("{arch}.attention.sliding_window_pattern")
    if window and len(pattern) >= layers > 1:
        return [window if pattern[layer] else 0 for layer in range(layers)]
    period = pattern[0] if len(pattern) == 1 else _PERIODS.get(name, 1)
    if not window or period == 1:
        return [0] * layers
    if period == 0:
        return [window] * layers
    all_seen = 0 if name in _FIRST_SEES_ALL else period - 1
    return [0 if layer % period == all_seen else window for layer in range(layers)]


def _is_recurrent(said: Said, layer: int, heads: int) -> bool:
    name = said.architecture or ""
    interval = said.number("{arch}.full_attention_interval") or _INTERVALS.get(name, 0)
    if interval:
        return (layer + 1) % interval != 0
    if name in _APART:
        within = said.numbers("{arch}.feed_forward_length")
        return heads == 0 and not (layer < len(within) and within[layer])
    return heads == 0 or name in _BOTH


def _fixed(said: Said) -> int:
    """Bytes that a recurrent layer keeps of one conversation."""
    width = said.number("{arch}.embedding_length") or 0
    if head := said.number("{arch}.wkv.head_size"):
        shifts = said.number("{arch}.token_shift_count") or 2
        return (shifts * width + width * head) * _F32
    if reach := said.number("{arch}.shortconv.l_cache"):
        return width * (reach - 1) * _F32
    inner = said.number("{arch}.ssm.inner_size") or 0
    state = said.number("{arch}.ssm.state_size") or 0
    groups = said.number("{arch}.ssm.group_count") or 0
    reach = said.number("{arch}.ssm.conv_kernel") or 1
    return ((reach - 1) * (inner + 2 * groups * state) + state * inner) * _F32
