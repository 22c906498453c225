"""`noibo hardware`: what this machine has, what really runs on it, and how fast."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.context import settings
from noibo.cli.note import Note
from noibo.cli.table import print_paragraph

if TYPE_CHECKING:
    from noibo.hardware.machine import Gpu, Hardware
    from noibo.hardware.offload import Usable


def hardware(
    seconds: Annotated[
        float, typer.Option(min=0, max=60, help="How long the memory is measured; 0: not at all.")
    ] = 2.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, in bytes and bytes per second.")
    ] = False,
) -> None:
    """Show and measure processor, memory, GPUs and disk."""
    from noibo.assembly import keep_measured, usable_gpus
    from noibo.engines.fit.this_machine import is_busy
    from noibo.hardware.probe import probe

    note = Note()
    tree = settings()
    busy = is_busy()
    found = probe(seconds=seconds, folder=tree.models_folder, tell=note)
    note("asking the engine")
    usable = usable_gpus(tree)
    note.clear()
    if seconds:
        keep_measured(tree, found, usable, busy=busy)
    if json:
        print(jsonlib.dumps(as_json(found, usable), indent=2))
        return
    for name, said in rows(found, usable):
        print(f"{name:<10} {said}")
    for line in remarks(found, usable):
        print_paragraph(f"! {line}")


def as_json(found: Hardware, usable: Usable) -> dict[str, Any]:
    """Stable keys; memory in bytes, rates in bytes or operations a second."""
    cpu = asdict(found.cpu)
    return {
        "cpu": {**cpu, "listed_but_do_not_run": list(found.cpu.broken)},
        "memory_bytes": found.memory_bytes,
        "memory_available_bytes": found.available_bytes,
        "memory_bandwidth_bytes_per_s": _whole(found.bandwidth),
        "flops_per_s": _whole(found.flops),
        "gpus": [_gpu(one) for one in found.gpus],
        "disk": found.disk
        and {
            "path": found.disk.path,
            "free_bytes": found.disk.free_bytes,
            "read_bytes_per_s": _whole(found.disk.read_rate),
        },
        "engine_devices": [asdict(one) for one in usable.devices],
        "notes": remarks(found, usable),
    }


def _gpu(gpu: Gpu) -> dict[str, Any]:
    return {
        "name": gpu.name,
        "vendor": gpu.vendor,
        "memory_bytes": gpu.memory_bytes,
        "memory_free_bytes": gpu.free_bytes,
        "shared_memory": gpu.shared_memory,
        "driver": gpu.driver,
        "bandwidth_bytes_per_s": _whole(gpu.bandwidth),
        "flops_per_s": _whole(gpu.flops),
    }


def _whole(rate: float | None) -> int | None:
    return None if rate is None else round(rate)


def rows(found: Hardware, usable: Usable) -> Iterator[tuple[str, str]]:
    """What is there, a line each."""
    cpu = found.cpu
    yield "processor", f"{cpu.name}, {_count(cpu.cores, 'core')}, {_count(cpu.threads, 'thread')}"
    yield "runs", " ".join(cpu.instructions) or "only what every processor of its kind does"
    if cpu.broken:
        yield "", f"{' '.join(cpu.broken)}: listed, but does not run"
    free = f"{_gib(found.available_bytes)} of it free"
    yield "memory", f"{_gib(found.memory_bytes)}, {free}"
    if found.bandwidth:
        rate = f"{found.bandwidth / 1e9:.1f} GB/s"
        yield "", f"{rate} by a copy on all cores, bytes read and bytes written counted"
    if found.flops:
        yield "", f"{found.flops / 1e9:.0f} Gflop/s in a product of matrices, single precision"
    for gpu in found.gpus:
        yield "GPU", _gpu_line(gpu)
    if not found.gpus:
        yield "GPU", "none was seen; models run on the processor"
    if usable.devices:
        yield "engine", f"can use {', '.join(one.description for one in usable.devices)}"
    if found.disk:
        rate = f", reads {found.disk.read_rate / 1e9:.2f} GB/s" if found.disk.read_rate else ""
        yield "disk", f"{found.disk.path}: {found.disk.free_bytes / 1e9:.0f} GB free{rate}"


def _gpu_line(gpu: Gpu) -> str:
    parts = [gpu.name, _gib(gpu.memory_bytes)]
    if gpu.shared_memory:
        parts[-1] += " of the machine's memory"
    if gpu.free_bytes is not None:
        parts.append(f"{_gib(gpu.free_bytes)} free")
    if gpu.bandwidth:
        parts.append(f"{gpu.bandwidth / 1e9:.0f} GB/s by its maker")
    if gpu.driver:
        parts.append(f"driver {gpu.driver}")
    return ", ".join(parts)


def remarks(found: Hardware, usable: Usable) -> list[str]:
    """What could not be read, and a GPU that lies idle with the command that mends it."""
    from noibo.hardware.offload import advice

    said = list(found.notes)
    if usable.problem:
        last = usable.problem.strip().splitlines()[-1][:160]
        said.append(f"The engine could not be asked what it can use: {last}. `noibo doctor`.")
    elif idle := advice(found.gpus, usable):
        said.append(idle)
    return said


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
