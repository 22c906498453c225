"""What llama.cpp's log says of what it put where.

A log is no interface: a line that is not known, or not as it was, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MIB: Final = 2**20
_BUFFER: Final = re.compile(
    r"(?P<place>\w+) +(?P<kind>model|KV|RS|compute|output) +buffer size = +"
    r"(?P<mib>\d+(?:\.\d+)?) MiB"
)
_KINDS: Final = {
    "model": "weights",
    "KV": "kv",
    "RS": "kv",
    "compute": "compute",
    "output": "compute",
}
_OFFLOADED: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_NUMBERS: Final[Mapping[str, re.Pattern[str]]] = {
    "layers": re.compile(r"n_layer +=? ?(\d+)$"),
    "context": re.compile(r"\bn_ctx_(?:seq|slot) += +(\d+)"),
    "threads": re.compile(r"\bn_threads = (\d+)"),
}
_ATTENTION: Final = re.compile(r"flash_attn +=? *(enabled|disabled)|Flash Attention (\w+)", re.I)


def placed(log: Iterable[str]) -> dict[str, Any]:
    """`devices`: of each, its layers where that was said, and bytes of weights, state and buffers;
    `device`: their names; `context` of a caller, `threads`, `flash_attention`. What was not said
    is not there."""
    devices: dict[str, dict[str, int]] = {}
    facts: dict[str, Any] = {}
    for line in log:
        _read_buffer(line, devices)
        _read_numbers(line, facts)
    layers = facts.pop("layers", None)
    _share_layers(devices, layers, facts.pop("offloaded", None))
    if devices:
        facts |= {"device": ", ".join(sorted(devices, key=str.lower)), "devices": devices}
    return facts


def _read_buffer(line: str, devices: dict[str, dict[str, int]]) -> None:
    if found := _BUFFER.search(line):
        place, kind = _device(found["place"]), _KINDS[found["kind"]]
        held = devices.setdefault(place, {})
        held[kind] = held.get(kind, 0) + round(float(found["mib"]) * MIB)


def _device(buffer: str) -> str:
    """The device of a buffer: memory of the host that a GPU reads is the processor's, and so is
    what lies there in the order of its own matrix unit (AMX)."""
    own = buffer.startswith("CPU") or buffer == "AMX" or buffer.endswith("_Host")
    return "cpu" if own else buffer


def _read_numbers(line: str, facts: dict[str, Any]) -> None:
    for name, pattern in _NUMBERS.items():
        if found := pattern.search(line):
            facts[name] = int(found[1])
    if found := _OFFLOADED.search(line):
        facts["offloaded"] = int(found[1])
        facts.setdefault("layers", int(found[2]))
    if found := _ATTENTION.search(line):
        facts["flash_attention"] = (found[1] or found[2]).lower() == "enabled"


def _share_layers(
    devices: dict[str, dict[str, int]], layers: int | None, offloaded: int | None
) -> None:
    """All layers are the processor's but those that went to a GPU: to one, if there is one."""
    if layers is None:
        return
    gpus = [name for name in devices if name != "cpu"]
    away = min(offloaded or 0, layers)
    if "cpu" in devices:
        devices["cpu"]["layers"] = layers - away
    if len(gpus) == 1:
        devices[gpus[0]]["layers"] = away
