"""Run benchmarks by name, or all of them; print a table each, and keep the numbers as JSON."""

from __future__ import annotations

import importlib
import json
import platform
import sys
import time
from pathlib import Path

ALL = (
    "start",
    "relay",
    "cancel",
    "pull",
    "memory",
    "reuse",
    "thrash",
    "scoring",
    "gateway",
    "overload",
)
RESULTS = Path(".cache/bench.json")


def main() -> None:
    names = sys.argv[1:] or ALL
    results: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{module.__doc__.strip().splitlines()[0]}", flush=True)
        results[name] = module.run()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1))
    print(f"\nKept in {RESULTS}.")


main()
