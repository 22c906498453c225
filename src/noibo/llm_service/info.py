"""What `get_model_info` says. Every number is a number, with a GPU or without one, loaded or not.

Memory is in GB of 2**30 bytes, as torch's users print it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from noibo.engines.memory.machine import Machine
from noibo.engines.tuning import threads_for
from noibo.engines.worker import Worker
from noibo.hardware.gpus import gpus, suspected
from noibo.hardware.machine import Gpu
from noibo.hardware.offload import Usable, advice
from noibo.hardware.system import System
from noibo.llm_service.answer import Taken
from noibo.llm_service.home import Home
from noibo.settings import Llm

GB: Final = 2**30
_NO_GPU: Final = "none (the model runs on the processor)"


def facts(home: Home | None, llm: Llm, window: int, last: Taken) -> dict[str, Any]:
    """Of the model that is loaded, or of none; `window`: tokens that a load would ask for, `last`:
    what the last answer took."""
    worker, machine = home.worker if home else None, Machine()
    model = home.found.model if home else None
    return {
        "loaded": worker is not None,
        "model_name": model.name if model else "",
        "model_path": str(model.path or "") if model else llm.model_path,
        "model_size": (model.bytes if model else 0) / GB,
        "parameters": model.parameters if model else 0,
        "quantization": home.found.quantisation if home else "",
        "use_quantization": llm.use_quantization,
        "load_in_8bit": llm.load_in_8bit,
        "load_in_4bit": llm.load_in_4bit,
        "max_length": (worker.window if worker else 0) or window,
        "trained_context": model.trained_context if model else 0,
        "engine": model.engine if model else "",
        **_process(worker, machine),
        **graphics(_placement(worker), _cards()),
        "ram_total": machine.total() / GB,
        "ram_available": machine.available() / GB,
        "tokens_per_second": last.tokens_per_second,
        "note": home.found.note if home else "",
    }


def _process(worker: Worker | None, machine: Machine) -> dict[str, Any]:
    """Of the worker's process."""
    pid = worker.process.pid if worker and worker.process else 0
    return {
        "pid": pid,
        "memory_allocated": (machine.held_by(pid) if pid else 0) / GB,
        "parallel": worker.slots if worker else 0,
        "threads": _placement(worker).get("threads") or threads_for(0),
        "tokens_generated": worker.tokens_out if worker else 0,
    }


def graphics(placement: Mapping[str, Any], cards: tuple[Gpu, ...]) -> dict[str, Any]:
    """Of the GPUs: what the engine put there, by its own word; before a load those there
    are. Pure."""
    devices: Mapping[str, Mapping[str, int]] = placement.get("devices") or {}
    used = {name: _bytes(parts) for name, parts in devices.items() if name != "cpu"}
    names = [card.name for card in cards] or list(used)
    idle = bool(devices) and not used
    return {
        "device": str(placement.get("device") or "none"),
        "gpu_name": ", ".join(names) if names and (used or not placement) else _NO_GPU,
        "gpu_memory_allocated": sum(used.values()) / GB,
        "gpu_memory_total": sum(card.memory_bytes for card in cards) / GB,
        "gpu_unused": advice(cards, Usable()) if idle else "",
    }


def _placement(worker: Worker | None) -> Mapping[str, Any]:
    return worker.facts()["placement"] if worker else {}


def _bytes(parts: Mapping[str, int]) -> int:
    """Of weights, state and buffers on one device."""
    return sum(size for kind, size in parts.items() if kind != "layers")


@functools.cache
def _cards() -> tuple[Gpu, ...]:
    """The GPUs that have memory of their own. Asking a tool of their maker takes a moment."""
    system = System()
    found = gpus(system, Machine().total())[0] if suspected(system) else []
    return tuple(card for card in found if not card.shared_memory)
