"""How large it is here, how fast, and what that means: a pure function of the model, the machine,
and what was learned of it.

Memory is what noibo's own estimate says of a worker of that size, corrected by what workers really
held here; speeds are what the machine can do with the work of a token. Each is said with a range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from noibo.engines.fit import pace
from noibo.engines.fit.ask import Ask, parameters_of
from noibo.engines.fit.work import work_of
from noibo.engines.llama_cpp.adapter import batch_for, need_for
from noibo.engines.llama_cpp.offload import Device, Offload, left, load_of, place
from noibo.engines.memory.correction import Correction, Learned
from noibo.engines.memory.size import Need
from noibo.hardware.machine import Gpu, Hardware

Verdict = Literal["runs well", "tight", "does not", "API only"]
BUDGET: Final = 0.75  # of the memory, as `memory.budget` has it
AS_ONE_READS: Final = 5.0  # tokens/s: slower than that, one waits for words
MEASURED_SPREAD: Final = 0.15  # of a speed that was measured of this very model
# What is added to the spread of memory by how little is known of the model.
UNKNOWN: Final = {"header": 0.0, "shape": 0.1, "size": 0.2, "nothing": 0.3}


@dataclass(frozen=True, slots=True)
class Range:
    """What is expected, and between what it is to be expected."""

    middle: float
    low: float
    high: float

    @classmethod
    def around(cls, middle: float, spread: float) -> Range:
        return cls(middle, middle / (1 + spread), middle * (1 + spread))


@dataclass(frozen=True, slots=True)
class Fit:
    """What is said of an `Ask`. Bytes: `parts` by name as estimated, `memory` all of it corrected,
    of that `ram` in the machine's own memory and the rest on GPUs (`offload`). Speeds in tokens/s:
    `prefill` of a prompt that fills the context; `decode` for one caller with a full context,
    `decode_first` with an empty one, `decode_each` for each of all callers at once. None: not
    known. `kept` is the most that the state of idle conversations may take besides."""

    ask: Ask
    parts: tuple[tuple[str, int], ...]
    memory: Range
    ram: int
    offload: Offload
    batch: int
    prefill: Range | None
    decode: Range | None
    decode_first: Range | None
    decode_each: Range | None
    verdict: Verdict
    why: str
    advice: tuple[str, ...] = ()
    kept: int = 0

    @property
    def together(self) -> float | None:
        """Tokens/s written for all callers at once."""
        return self.decode_each.middle * self.ask.parallel if self.decode_each else None

    @property
    def gpu_layers(self) -> int:
        """As llama.cpp counts them."""
        return self.offload.layers


def judge(ask: Ask, hardware: Hardware, correction: Correction, budget: float) -> Fit:
    """What to expect of `ask` on that machine. `budget` is the part of the memory that models may
    take. What idle conversations may take stands apart and is judged by nothing: it is given up
    first where memory is short."""
    if ask.api_only:
        why = "it has no weights to fetch: it is asked where it is hosted"
        nothing = Range(0, 0, 0)
        return Fit(ask, (), nothing, 0, Offload(), 0, None, None, None, None, "API only", why)
    limits = replace(ask.limits, threads=ask.limits.threads or max(hardware.cpu.threads, 1))
    batch = batch_for(ask.model, ask.size, limits, ask.rate or ask.prefill)
    gpus = pace.usable(hardware)
    need = need_for(ask.model, ask.size, batch)
    placed = _placed(ask, replace(need, kept=0), gpus)
    spread = correction.memory.spread + UNKNOWN[ask.known]
    ram = round(correction.memory.apply(placed.ram))
    speeds = _Speeds(ask, correction, _parts_of(ask, placed.offload, gpus, hardware))
    fit = Fit(
        ask,
        _by_name(ask, placed),
        Range.around(ram + placed.on_cards, spread),
        ram,
        placed.offload,
        batch,
        speeds.prefill(ask.context),
        speeds.decode(ask.context),
        speeds.decode(1),
        speeds.decode(ask.context, ask.parallel),
        "runs well",
        "",
        kept=need.kept,
    )
    verdict, why = _verdict(fit, hardware, spread, budget)
    return replace(fit, verdict=verdict, why=why)


@dataclass(frozen=True, slots=True)
class _Placed:
    """What a worker takes, by part, wherever that is; and where."""

    need: Need
    offload: Offload
    ram: int
    on_cards: int


def _placed(ask: Ask, need: Need, gpus: Sequence[Gpu]) -> _Placed:
    """Layers to the GPUs, as many as fit. What shares the machine's memory takes it from there."""
    load = load_of(ask.model, need, ask.projector_bytes)
    devices = [Device(gpu.name, gpu.usable_bytes, gpu.shared_memory) for gpu in gpus]
    offload = place(load, devices) if load else Offload()
    if load is None or not offload.layers:
        return _Placed(need, Offload(), need.total, 0)
    beside = left(need, load, offload)
    gone = sum(one.bytes for one in offload.devices)
    buffers = load.buffers * sum(one.layers > 0 for one in offload.devices)
    weights = beside.weights + gone - buffers - (need.kv - beside.kv)
    whole = replace(need, weights=weights, compute=need.compute + buffers)
    if any(device.shared for device in devices):
        return _Placed(whole, offload, whole.total, 0)
    return _Placed(whole, offload, beside.total, gone)


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

    def prefill(self, tokens: int) -> Range | None:
        """Reading a prompt of so many tokens."""
        work = work_of(self.ask, tokens)
        if work is None or (rate := pace.reading(work, self.parts)) is None:
            return None
        near = work_of(self.ask, min(tokens, 256)) or work
        known = _own(self.ask.prefill, pace.reading(near, self.parts))
        return _range(rate, known, self.correction.prefill)

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
    may, free = budget * hardware.memory_bytes, hardware.available_bytes
    highest = fit.ram * (1 + spread)
    wanted = f"{gigabytes(fit.ram)} are wanted of the memory"
    if not fit.ask.model.bytes and not parameters_of(fit.ask.model):
        return "does not", "nothing is known of its size"
    if fit.ram > may:
        return "does not", f"{wanted}, and models may take {gigabytes(may)} of it here"
    layers = (fit.ask.model.info and fit.ask.model.info.layers) or 0
    slow = fit.decode.middle if fit.decode else AS_ONE_READS
    against = (
        (
            bool(pace.usable(hardware)) and not fit.offload.whole,
            f"{fit.gpu_layers} of {layers + 1} layers fit on the GPU, the rest runs beside it",
        ),
        (fit.ram > free, f"{wanted}, and {gigabytes(free)} are free now"),
        (
            highest > may,
            f"up to {gigabytes(highest)} may be wanted, and models may take {gigabytes(may)} here",
        ),
        (slow < AS_ONE_READS, f"about {slow:.1f} tokens/s are slower than one reads"),
    )
    said = next((why for holds, why in against if holds), None)
    return ("tight", said) if said else ("runs well", _well(fit))


def _well(fit: Fit) -> str:
    speed = fit.decode if fit.ask.writes else fit.prefill
    if speed is None:
        return "it fits; how fast it is here is not known"
    does = "writes" if fit.ask.writes else "reads"
    return f"it fits, and {does} about {speed.middle:.0f} tokens/s"


def gigabytes(size: float) -> str:
    """`1.2 GB`."""
    return f"{size / 1e9:.1f} GB"
