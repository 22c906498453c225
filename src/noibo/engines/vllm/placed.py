"""What vLLM's log says of what it put where. A log is no interface: a line that is not known, or
not as it was, changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

GIB: Final = 2**30
_WEIGHTS: Final = re.compile(r"[Mm]odel loading took ([\d.]+) GiB")
_CACHE: Final = re.compile(r"Available KV cache memory: ([\d.]+) GiB")
_TOKENS: Final = re.compile(r"KV cache size: ([\d,]+) tokens")
_AT_ONCE: Final = re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x")
_GRAPHS: Final = re.compile(r"Graph capturing finished in .* took ([\d.]+) GiB")


def placed(log: Iterable[str], device: str) -> Mapping[str, Any]:
    """`devices`: bytes of weights, state and buffers; `kv_tokens` that fit into the state in all;
    `at_once`: conversations of the full length that do. What was not said is not there."""
    held: dict[str, int] = {}
    facts: dict[str, Any] = {}
    for line in log:
        for name, pattern in (("weights", _WEIGHTS), ("kv", _CACHE), ("compute", _GRAPHS)):
            if found := pattern.search(line):
                held[name] = round(float(found[1]) * GIB)
        if found := _TOKENS.search(line):
            facts["kv_tokens"] = int(found[1].replace(",", ""))
        if found := _AT_ONCE.search(line):
            facts["at_once"] = float(found[1])
    return facts | ({"devices": {device: held}} if held else {})
