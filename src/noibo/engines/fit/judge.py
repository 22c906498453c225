"""How large it is here, how fast, and what that means: a pure function of the model, the machine,
and what was learned of it.

Memory is what noibo's own estimate says of a worker of that size, corrected by what workers really
held here; speeds are what the machine can do with the work of a token. Each is said with a range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from noibo import settings
from noibo.engines.fit import by_engine, pace
from noibo.engines.fit.ask import Ask, parameters_of
from noibo.engines.fit.prediction import Fit, Range, Verdict, against, gigabytes
from noibo.engines.fit.work import work_of
from noibo.engines.llama_cpp.adapter import batch_for, need_for, offloaded_rate
from noibo.engines.llama_cpp.offload import DRIVER, Device, Offload, left, load_of, place
from noibo.engines.memory.correction import Correction, Learned
from noibo.engines.memory.size import Need
from noibo.hardware.machine import Gpu, Hardware

AS_ONE_READS: Final = 5.0  # tokens/s: slower than that, one waits for words
MEASURED_SPREAD: Final = 0.15  # of a speed that was measured of this very model
# What is added to the spread of memory by how little is known of the model.
UNKNOWN: Final = {"header": 0.0, "engine": 0.0, "shape": 0.1, "size": 0.2, "nothing": 0.3}
GUESSED_STATE: Final = 0.8  # and of the state of layers that are guessed


def judge(ask: Ask, hardware: Hardware, correction: Correction, budget: float) -> Fit:
    """What to expect of `ask` on that machine. `budget` is the part of the memory that models may
    take. What idle conversations may take stands apart and is judged by nothing: it is given up
    first where memory is short."""
    if ask.api_only:
        why = "it has no weights to fetch: it is asked where it is hosted"
        return Fit(ask, (), Range(0, 0, 0), 0, verdict="API only", why=why)
    limits = replace(ask.limits, threads=ask.limits.threads or max(hardware.cpu.threads, 1))
    if ask.elsewhere:
        said = by_engine.said_of(replace(ask, limits=limits), hardware, UNKNOWN[ask.known])
        return by_engine.judged(said, ask, hardware, correction.memory, budget)
    gpus = pace.usable(hardware)
    placed = _sized(ask, limits, gpus)
    spread = correction.memory.spread + _doubt(ask, placed.need)
    ram = round(correction.memory.apply(placed.ram))
    parts = _parts_of(ask, placed.offload, gpus, hardware)
    speeds = _Speeds(ask, correction, parts, placed.batch)
    fit = Fit(
        ask,
        _by_name(ask, placed),
        Range.around(ram + placed.on_cards, spread),
        ram,
        placed.offload,
        placed.batch,
        speeds.prefill(ask.context),
        speeds.decode(ask.context),
        speeds.decode(1),
        speeds.decode(ask.context, ask.parallel),
        kept=placed.kept,
    )
    verdict, why = _verdict(fit, hardware, spread, budget)
    return replace(fit, verdict=verdict, why=why)


def _doubt(ask: Ask, need: Need) -> float:
    """What is not known of the model, as a part of all that it takes."""
    doubt = UNKNOWN[ask.known]
    if ask.known == "size":
        doubt += GUESSED_STATE * need.kv / max(need.at_start, 1)
    return doubt


@dataclass(frozen=True, slots=True)
class _Placed:
    """What a worker takes, by part, wherever that is, when it reads `batch` tokens at a time; where
    it is; and what it may grow by."""

    need: Need
    offload: Offload
    ram: int
    on_cards: int
    batch: int
    kept: int


def _sized(ask: Ask, limits: settings.Engine, gpus: Sequence[Gpu]) -> _Placed:
    """With the batch that its speed allows, as its worker is started: layers on GPUs read faster,
    which takes larger buffers there."""
    rate = ask.rate or ask.prefill
    first = _placed(ask, batch_for(ask.model, ask.size, limits, rate), gpus)
    if rate or not first.offload.layers:
        return first
    layers = (ask.model.info and ask.model.info.layers) or 1
    on_gpus = [
        (one.layers / layers, gpu.flops)
        for one, gpu in zip(first.offload.devices, gpus, strict=False)
    ]
    rate = offloaded_rate(ask.model.parameters, limits.threads, on_gpus)
    larger = _placed(ask, batch_for(ask.model, ask.size, limits, rate), gpus)
    return larger if larger.offload.layers else first


def _need(ask: Ask, batch: int) -> Need:
    """What its worker takes. Files that only the ask tells of are no tensors of the model."""
    named = ask.model.projector is not None or bool(ask.model.adapters)
    unnamed = 0 if named else ask.adapter_bytes + ask.projector_bytes
    model = replace(ask.model, bytes=ask.model.bytes - unnamed)
    need = need_for(model, ask.size, batch)
    return replace(need, weights=need.weights + unnamed)


def _placed(ask: Ask, batch: int, gpus: Sequence[Gpu]) -> _Placed:
    """Layers to the GPUs, as many as fit. What shares the machine's memory takes it from there."""
    need = _need(ask, batch)
    kept, need = need.kept, replace(need, kept=0)
    load = load_of(ask.model, need, ask.projector_bytes)
    devices = [Device(gpu.name, gpu.usable_bytes, gpu.shared_memory) for gpu in gpus]
    offload = place(load, devices) if load else Offload()
    if load is None or not offload.layers:
        return _Placed(need, Offload(), need.total, 0, batch, kept)
    beside = left(need, load, offload)
    gone = sum(one.bytes for one in offload.devices)
    buffers = load.buffers * sum(one.layers > 0 for one in offload.devices)
    weights = beside.weights + gone - buffers - (need.kv - beside.kv)
    whole = replace(need, weights=weights, compute=need.compute + buffers)
    if any(device.shared for device in devices):
        return _Placed(whole, offload, whole.total, 0, batch, kept)
    return _Placed(whole, offload, beside.total, gone, batch, kept)


def _parts_of(
    ask: Ask, placed: Offload, gpus: Sequence[Gpu], hardware: Hardware
) -> list[pace.Part]:
    """Which part of the layers is run by what."""
    layers = (ask.model.info and ask.model.info.layers) or 1
    found = [
        pace.Part(one.layers / layers, pace.of_gpu(gpu))
        for one, gpu in zip(placed.devices, gpus, strict=False)
        if one.layers
    ]
    rest = 1 - sum(part.share for part in found)
    return [*found, pace.Part(rest, pace.of_processor(hardware))] if rest > 1e-9 else found


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Speeds of one ask, corrected by what was learned, and by what was measured of this model."""

    ask: Ask
    correction: Correction
    parts: Sequence[pace.Part]
    batch: int

    def prefill(self, tokens: int) -> Range | None:
        """Reading a prompt of so many tokens."""
        rate = self._reading(tokens)
        if rate is None:
            return None
        known = _own(self.ask.prefill, self._reading(min(tokens, 256)))
        return _range(rate, known, self.correction.prefill)

    def _reading(self, tokens: int) -> float | None:
        work = work_of(self.ask, tokens, self.batch)
        return pace.reading(work, self.parts, self.batch) if work else None

    def decode(self, tokens: int, callers: int = 1) -> Range | None:
        """Writing, each of the callers at that depth."""
        work = work_of(self.ask, tokens, callers) if self.ask.writes else None
        if work is None or (rate := pace.writing(work, self.parts)) is None:
            return None
        near = work_of(self.ask, min(tokens, 256)) or work  # how deep it was measured
        known = _own(self.ask.decode, pace.writing(near, self.parts))
        return _range(rate, known, self.correction.decode)


def _own(measured: float | None, predicted: float | None) -> float | None:
    """How this very model did against its prediction."""
    return measured / predicted if measured and predicted else None


def _range(rate: float, own: float | None, learned: Learned) -> Range:
    if own is not None:
        return Range.around(rate * own, MEASURED_SPREAD)
    return Range.around(learned.apply(rate), learned.spread)


def _by_name(ask: Ask, placed: _Placed) -> tuple[tuple[str, int], ...]:
    """The estimate, part by part: a projector and adapters are files of the model, counted once."""
    need, beside = placed.need, ask.adapter_bytes + ask.projector_bytes
    rows = (
        ("weights", max(need.weights - beside, 0)),
        ("KV cache", need.kv),
        ("compute buffers", need.compute),
        ("adapters", ask.adapter_bytes),
        ("projector", ask.projector_bytes),
        ("process and vocabulary", need.base),
    )
    always = {"weights", "KV cache", "compute buffers", "process and vocabulary"}
    return tuple((name, size) for name, size in rows if size or name in always)


def _verdict(fit: Fit, hardware: Hardware, spread: float, budget: float) -> tuple[Verdict, str]:
    """The first of the reasons against it, gravest first."""
    if not fit.ask.model.bytes and not parameters_of(fit.ask.model):
        return "does not", "nothing is known of its size"
    memory = against(fit.ram, spread, hardware, budget)
    if memory is not None and memory[0] == "does not":
        return memory
    gpus = pace.usable(hardware)
    said = _beside(fit, gpus) or memory
    if said is None and (full := _nearly_full(fit, gpus, spread)):
        said = "tight", full
    return said or _fast(fit)


def _beside(fit: Fit, gpus: Sequence[Gpu]) -> tuple[Verdict, str] | None:
    """What it means that not all of it fits on the GPUs there are."""
    if not gpus or fit.offload.whole:
        return None
    layers = (fit.ask.model.info and fit.ask.model.info.layers) or 0
    held = f"{fit.gpu_layers} of {layers + 1} layers fit on the GPU"
    return "tight", f"{held}, the rest runs beside it"


def _nearly_full(fit: Fit, gpus: Sequence[Gpu], spread: float) -> str:
    """The first GPU whose part of it may be more than it has room for; empty where all have."""
    for gpu, placed in zip(gpus, fit.offload.devices, strict=False):
        room = gpu.usable_bytes - (0 if gpu.shared_memory else DRIVER)
        if placed.bytes * (1 + spread) > room:
            most = gigabytes(placed.bytes * (1 + spread))
            return f"up to {most} may be wanted on {gpu.name}, and {gigabytes(room)} are free there"
    return ""


def _fast(fit: Fit) -> tuple[Verdict, str]:
    """It fits: is it as fast as one reads?"""
    slow = fit.decode.middle if fit.decode else AS_ONE_READS
    if slow < AS_ONE_READS:
        return "tight", f"about {slow:.1f} tokens/s are slower than one reads"
    speed = fit.decode if fit.ask.writes else fit.prefill
    if speed is None:
        return "runs well", "it fits; how fast it is here is not known"
    does = "writes" if fit.ask.writes else "reads"
    return "runs well", f"it fits, and {does} about {speed.middle:.0f} tokens/s"
