"""What `noibo fit` prints: memory by part, speeds, the verdict, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from noibo.cli.amounts import size
from noibo.cli.table import print_paragraph
from noibo.engines.fit.ask import parameters_of
from noibo.engines.fit.fit import Fit, Range
from noibo.engines.memory.correction import Correction, Learned
from noibo.hardware.machine import Hardware
from noibo.modelstore.printable import shown

KNOWN: Final = {
    "header": "by its file's header",
    "engine": "by what its engine says",
    "shape": "not here in this form: its layers are known, its weights reckoned",
    "size": "not here, and its layers are not known: guessed from models as large",
    "nothing": "its header says too little: guessed by the size of its files",
}
LABEL: Final = 24


def print_fit(fit: Fit, hardware: Hardware, correction: Correction, remark: str) -> None:
    """A page for people."""
    print(shown(_title(fit), 300))
    if fit.ask.api_only:
        print(f"\n{fit.verdict}: {fit.why}.")
        return
    print(f"{_wanted(fit)}; on {_machine(hardware)}\n")
    for name, said in (*_memory(fit, correction), *_speeds(fit)):
        print(f"{name:<{LABEL}} {said}")
    print()
    print_paragraph(f"{fit.verdict}: {fit.why}.")
    for line in fit.advice:
        print_paragraph(f"- {line}")
    if remark:
        print_paragraph(f"! {remark}")
    print()
    for name, learned in _learned(fit, correction):
        print_paragraph(f"{name}: {learned.words()}.")


def _title(fit: Fit) -> str:
    ask = fit.ask
    parameters = parameters_of(ask.model)
    words = [ask.model.name, ask.quantisation or ""]
    words += [f"{_three(parameters / 1e9)} billion parameters"] if parameters else []
    if not ask.api_only:
        words.append(KNOWN[ask.known])
    return ", ".join(word for word in words if word)


def _wanted(fit: Fit) -> str:
    ask = fit.ask
    if not ask.writes:
        return f"Inputs of up to {ask.context:,} tokens, {ask.parallel} side by side"
    callers = "1 caller" if ask.parallel == 1 else f"{ask.parallel} callers"
    if not ask.context:
        return callers
    return f"{callers} with {ask.context:,} tokens each, KV {ask.kv_type}"


def _machine(hardware: Hardware) -> str:
    cores = f"{hardware.cpu.cores} cores of {hardware.cpu.name}"
    return shown(
        ", ".join([*hardware.gpu_kinds, cores, f"{hardware.memory_bytes / 2**30:.0f} GB memory"]),
        300,
    )


def _memory(fit: Fit, correction: Correction) -> Iterator[tuple[str, str]]:
    for name, count in fit.parts:
        yield name, f"{size(count):>9}"
    if correction.memory.samples:
        yield "corrected by", f"{'x' + format(correction.memory.scale, '.3f'):>9}"
    memory = fit.memory
    yield "memory", f"{size(memory.middle):>9}   {size(memory.low)} to {size(memory.high)}"
    if fit.kept:
        said = "for idle conversations, given up first where memory is short"
        yield "later up to", f"{size(fit.kept):>9} more {said}"
    layers = (fit.ask.model.info and fit.ask.model.info.layers) or 0
    for one in fit.offload.devices:
        if not one.bytes:
            continue
        yield f"  on {one.name}", f"{size(one.bytes):>9}   {one.layers} of {layers} layers"
    if fit.offload.devices or memory.middle > fit.ram:
        yield "  in the memory", f"{size(fit.ram):>9}"


def _speeds(fit: Fit) -> Iterator[tuple[str, str]]:
    ask = fit.ask
    if ask.elsewhere:
        yield "speed", "  not predicted: that is learned of llama.cpp alone"
        return
    yield "reads", f"{_rate(fit.prefill)}{_unless(fit.prefill, f', a prompt of {ask.context:,}')}"
    if not ask.writes:
        return
    first = f", {_three(fit.decode_first.middle)} at its beginning" if fit.decode_first else ""
    yield "writes", f"{_rate(fit.decode)}{_unless(fit.decode, ' with a full context')}{first}"
    if ask.parallel > 1 and fit.decode_each and fit.together:
        each, together = _three(fit.decode_each.middle), _three(fit.together)
        yield "", f"{each:>9} tokens/s for each of {ask.parallel} at once, {together} together"


def _rate(rate: Range | None) -> str:
    if rate is None:
        return "  unknown: nobody says how fast the machine is"
    return f"{_three(rate.middle):>9} tokens/s   {_three(rate.low)} to {_three(rate.high)}"


def _three(number: float) -> str:
    """Three digits at least, and no powers of ten of what is large: `0.0227`, `67.7`, `2,446`."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def _unless(rate: Range | None, words: str) -> str:
    return words if rate is not None else ""


def _learned(fit: Fit, correction: Correction) -> Iterator[tuple[str, Learned]]:
    yield "Memory", correction.memory
    if fit.ask.elsewhere:
        return
    yield "Reading", correction.prefill
    yield "Writing", correction.decode


def as_json(fit: Fit, correction: Correction, remark: str) -> dict[str, Any]:
    """Stable keys; bytes and tokens a second. Of what is only an API nothing lies in memory here,
    which is no size: null."""
    ask, here = fit.ask, not fit.ask.api_only
    return {
        "model": ask.model.name,
        "quantisation": ask.quantisation,
        "parameters": parameters_of(ask.model) or None,
        "known_by": ask.known if here else None,
        "engine": ask.model.engine,
        "context": ask.context,
        "parallel": ask.parallel,
        "kv_type": ask.kv_type,
        "batch": fit.batch or None,
        "parts_bytes": dict(fit.parts),
        "memory_bytes": _whole(fit.memory) if here else None,
        "kept_bytes": fit.kept if here else None,
        "ram_bytes": fit.ram if here else None,
        "gpu_layers": fit.gpu_layers if here else None,
        "gpus": [asdict(one) for one in fit.offload.devices],
        "prefill_tokens_per_s": _plain(fit.prefill),
        "decode_tokens_per_s": _plain(fit.decode),
        "decode_at_the_beginning_tokens_per_s": _plain(fit.decode_first),
        "decode_each_tokens_per_s": _plain(fit.decode_each),
        "together_tokens_per_s": fit.together and round(fit.together, 3),
        "verdict": fit.verdict,
        "why": fit.why,
        "advice": list(fit.advice),
        "correction": asdict(correction),
        "remark": remark,
    }


def _whole(found: Range) -> dict[str, int]:
    return {name: round(value) for name, value in asdict(found).items()}


def _plain(found: Range | None) -> dict[str, float] | None:
    return {name: round(value, 3) for name, value in asdict(found).items()} if found else None
