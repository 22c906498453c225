"""A model that another engine than llama.cpp runs: that engine says what it takes, and so much is
what noibo reserves for it. Of one that is not here it is reckoned what vLLM would say.

An engine that says nothing of weights has them on GPUs: there they must find room, with the state
of one caller at least; it answers as many others at the same time as its state leaves room for.
How fast such engines are is not predicted: that was learned of llama.cpp alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from noibo.engines.engine import Engine
from noibo.engines.fit import pace
from noibo.engines.fit.ask import Ask
from noibo.engines.fit.prediction import Fit, Range, Verdict, against, gigabytes
from noibo.engines.hosted.folder import folder_of
from noibo.engines.memory.correction import Learned
from noibo.engines.memory.estimate import kv_bytes
from noibo.engines.memory.size import Need
from noibo.engines.vllm.adapter import BUFFERS, PROCESS
from noibo.hardware.machine import Hardware
from noibo.model_settings import VllmSettings

OWN: Final = 10**9 + BUFFERS  # of a GPU: libraries, graphs, and what a step computes in; a guess


@dataclass(frozen=True, slots=True)
class Said:
    """What an engine of that name takes, of the machine's memory; `doubt`, as a part of it, where
    that is reckoned."""

    name: str
    need: Need
    doubt: float = 0.0


def said_of(ask: Ask, hardware: Hardware, doubt: float) -> Said:
    """What its engine says. Raises what the engine does, as where it is not installed."""
    if ask.engine is not None:
        return Said(ask.engine.name, ask.engine.need(ask.model, ask.size, ask.limits))
    if pace.usable(hardware):
        return Said(ask.model.engine, Need(base=PROCESS["cuda"]), doubt)
    need = Need(ask.model.bytes, ask.parallel * _of_one_caller(ask), BUFFERS, PROCESS["cpu"])
    return Said(ask.model.engine, need, doubt)


def is_on_gpus(engine: Engine, ask: Ask) -> bool:
    """Whether the engine has its weights on GPUs."""
    return any(_on_gpus(ask, engine.need(ask.model, ask.size, ask.limits)))


def judged(said: Said, ask: Ask, hardware: Hardware, learned: Learned, budget: float) -> Fit:
    """What to expect of it."""
    need, spread = said.need, learned.spread + said.doubt
    on_gpus = tuple(_on_gpus(ask, need))
    wanted = sum(size for _, size in on_gpus)
    ram = round(learned.apply(need.at_start)) + need.kept
    memory = against(ram, spread, hardware, budget)
    against_it = memory if memory and memory[0] == "does not" else None
    against_it = against_it or _on_gpus_against(said.name, ask, wanted, spread, hardware) or memory
    verdict, why = against_it or ("runs well", _well(said.name, ask))
    return Fit(
        ask,
        (*_by_name(ask, need), *on_gpus),
        Range.around(ram + wanted, spread),
        ram,
        verdict=verdict,
        why=why,
    )


def _by_name(ask: Ask, need: Need) -> Iterator[tuple[str, int]]:
    """What it takes of the machine's memory. State that grows with a text is part of the need."""
    if not ask.model.bytes:
        yield "process", need.total
        return
    rows = (
        ("weights", need.weights),
        ("KV cache", need.kv),
        ("compute buffers", need.compute),
        ("grows by", need.kept),
    )
    yield from ((name, size) for name, size in rows if size)
    yield "process", need.base


def _on_gpus(ask: Ask, need: Need) -> Iterator[tuple[str, int]]:
    if need.weights or not ask.model.bytes:
        return
    yield "weights on GPUs", ask.model.bytes
    yield "KV cache of one caller", _of_one_caller(ask)
    yield "buffers on GPUs", OWN * _cards(ask)


def _of_one_caller(ask: Ask) -> int:
    """State of a text as long as the context."""
    if ask.model.info is not None:
        return kv_bytes(ask.model.info, replace(ask.size, parallel=1), 0)
    folder = folder_of(ask.model)
    each = 1 if ask.kv_type == "q8_0" else 2  # bytes: that is fp8 on a GPU
    return 2 * folder.layers * folder.keys * each * ask.context


def _own(ask: Ask) -> VllmSettings:
    said = ask.model.options.get("vllm")
    return said if isinstance(said, VllmSettings) else VllmSettings()


def _cards(ask: Ask) -> int:
    """How many GPUs its weights are divided over."""
    return _own(ask).tensor_parallel * _own(ask).pipeline_parallel


def _on_gpus_against(
    name: str, ask: Ask, wanted: int, spread: float, hardware: Hardware
) -> tuple[Verdict, str] | None:
    """What speaks against so many bytes there; None: nothing."""
    free = sorted((gpu.usable_bytes for gpu in pace.usable(hardware)), reverse=True)
    room = _own(ask).gpu_memory * sum(free[: _cards(ask)])
    there = f"on GPUs, and {name} takes no more than {gigabytes(room)} there"
    if wanted > room:
        more = _own(ask).gpu_memory * sum(free) > wanted
        divided = "; vllm.tensor_parallel in noibo.toml divides it over several" if more else ""
        return "does not", f"{gigabytes(wanted)} are wanted {there}{divided}"
    if wanted * (1 + spread) > room:
        return "tight", f"up to {gigabytes(wanted * (1 + spread))} may be wanted {there}"
    return None


def _well(name: str, ask: Ask) -> str:
    if not ask.model.bytes:
        return "it has no weights, and takes no memory to speak of"
    return f"it fits; how fast {name} is here is not predicted"
