"""Ollama's `options`, and the PARAMETERs of a Modelfile: what each takes, and what becomes of it.

Each has its effect as a field of the engine's request, is the worker's (`num_ctx`), only tunes the
machine and changes no answer, or is refused by its name. None is dropped.
After ollama/ollama, `api/types.go`: Options, Runner, DefaultOptions.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from noibo.errors import InvalidRequest

Kind = Literal["whole", "real", "switch", "texts"]
MOST_STOPS: Final = 64
_SEEDS: Final = 2**32


@dataclass(frozen=True, slots=True)
class Option:
    """One option: what it takes, and the engine's field that means the same ("": none does).

    `only` is the one value that is not refused: the one that says what happens anyway.
    """

    kind: Kind
    field: str = ""
    least: float = -math.inf
    most: float = math.inf
    only: Any = None


_MACHINE_NUMBER: Final = Option("whole")
_MACHINE_SWITCH: Final = Option("switch")

OPTIONS: Final[Mapping[str, Option]] = {
    # how the next token is chosen
    "seed": Option("whole", "seed", -_SEEDS, _SEEDS - 1),
    "temperature": Option("real", "temperature", 0, 1000),
    "top_k": Option("whole", "top_k", -1, 2**31 - 1),
    "top_p": Option("real", "top_p", 0, 1),
    "min_p": Option("real", "min_p", 0, 1),
    "typical_p": Option("real", "typical_p", 0, 1),
    "repeat_last_n": Option("whole", "repeat_last_n", -1, 2**31 - 1),
    "repeat_penalty": Option("real", "repeat_penalty", 0.01, 1000),
    "presence_penalty": Option("real", "presence_penalty", -1000, 1000),
    "frequency_penalty": Option("real", "frequency_penalty", -1000, 1000),
    "mirostat": Option("whole", "mirostat", 0, 2),
    "mirostat_tau": Option("real", "mirostat_tau", 0, 1000),
    "mirostat_eta": Option("real", "mirostat_eta", 0, 1),
    # where the answer ends
    "num_predict": Option("whole", "max_tokens", -2, 2**31 - 1),
    "stop": Option("texts", "stop"),
    # the worker's
    "num_ctx": Option("whole", "", 0, 2**31 - 1),
    # of a context that is shifted when it is full, which none is here; the engine is told
    "num_keep": Option("whole", "n_keep", -1, 2**31 - 1),
    # of the machine: other speed, same answer
    "num_batch": _MACHINE_NUMBER,
    "num_gpu": _MACHINE_NUMBER,
    "main_gpu": _MACHINE_NUMBER,
    "num_thread": _MACHINE_NUMBER,
    "draft_num_predict": _MACHINE_NUMBER,
    "use_mmap": _MACHINE_SWITCH,
    "use_mlock": _MACHINE_SWITCH,
    "numa": _MACHINE_SWITCH,
    "low_vram": _MACHINE_SWITCH,
    "f16_kv": _MACHINE_SWITCH,
    # what the engine does not have: only what it does anyway may be asked for
    "tfs_z": Option("real", only=1.0),
    "penalize_newline": Option("switch", only=True),
    "logits_all": Option("switch", only=False),
    "vocab_only": Option("switch", only=False),
    "embedding_only": Option("switch", only=False),
}
MACHINE: Final = frozenset(
    name
    for name, option in OPTIONS.items()
    if option in (_MACHINE_NUMBER, _MACHINE_SWITCH) or name == "num_keep"
)
# What Ollama does where neither the request nor the model says.
USUAL: Final[Mapping[str, Any]] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
_WORDS: Final = {
    "whole": "a whole number",
    "real": "a number",
    "switch": "true or false",
    "texts": f"a text, or a list of at most {MOST_STOPS}",
}


def checked(options: Mapping[str, Any], where: str = "options") -> dict[str, Any]:
    """The options, each of its type and in its range; null is not given. Raises `InvalidRequest`
    that names the one that is wrong, or that nobody knows."""
    found = {}
    for name, value in options.items():
        option = OPTIONS.get(name)
        if option is None:
            raise _unknown(name, where)
        if value is not None:
            found[name] = _checked(f"{where}.{name}", option, value)
    return found


def fields(options: Mapping[str, Any], of_model: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine is told, by its own names: the request's options, else what came with the
    model, else what is usual with Ollama."""
    said = {**USUAL, **of_model, **options}
    told = {}
    for name, value in said.items():
        option = OPTIONS.get(name)
        if option is not None and option.field and value is not None:
            told[option.field] = value
    limit = _limit(said.get("num_predict"))
    told.pop("max_tokens", None)
    if limit > 0 or "num_predict" in of_model:
        told["max_tokens"] = limit
    if "seed" in told:
        told["seed"] %= _SEEDS  # any negative one is another each time
        if said["seed"] < 0:
            told["seed"] = _SEEDS - 1
    return told


def _limit(num_predict: Any) -> int:
    """Ollama's -1 (no limit), -2 (until the context is full) and 0 are one thing here: the context
    is where it ends."""
    return num_predict if isinstance(num_predict, int) and num_predict > 0 else -1


def _checked(name: str, option: Option, value: Any) -> Any:
    right = _typed(option, value)
    if right is None:
        raise InvalidRequest(f"{name}: {_shown(value)} is not {_WORDS[option.kind]}.", param=name)
    if option.only is not None and right != option.only:
        raise InvalidRequest(
            f"{name}: the engine has no such setting any more.",
            param=name,
            next_step="Leave it out.",
        )
    if option.kind in {"whole", "real"} and not option.least <= right <= option.most:
        raise InvalidRequest(
            f"{name}: {_shown(value)} is out of range: {option.least:g} to {option.most:g}.",
            param=name,
        )
    return right


def _typed(option: Option, value: Any) -> Any:
    """The value in its type; None for one of another. As Go: 40.0 is a whole number too."""
    if option.kind == "switch":
        return value if isinstance(value, bool) else None
    if option.kind == "texts":
        texts = [value] if isinstance(value, str) else value
        good = isinstance(texts, list) and all(isinstance(one, str) and one for one in texts)
        return texts if good and len(texts) <= MOST_STOPS else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        return None
    if option.kind == "whole":
        return int(value) if value == int(value) else None
    return float(value)


def _unknown(name: str, where: str) -> InvalidRequest:
    near = difflib.get_close_matches(name[:60], OPTIONS, n=1)
    return InvalidRequest(
        f"{where}: there is no {name[:60]!r}.",
        param=f"{where}.{name[:60]}",
        next_step=f"Did you mean {near[0]}?" if near else "Leave it out.",
    )


def _shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else said[:59] + "…"
