"""Run benchmarks by name, or all of them; print a table each, and keep the numbers as JSON."""

from __future__ import annotations

import importlib
import sys

from benchmarks.measuring import keep

ALL = (
    "start",
    "relay",
    "cancel",
    "pull",
    "memory",
    "fit",
    "reuse",
    "thrash",
    "scoring",
    "engines",
    "gateway",
    "rows",
    "overload",
    "detection",
    "detection_english",
)


def main() -> None:
    for name in sys.argv[1:] or ALL:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{module.__doc__.strip().splitlines()[0]}", flush=True)
        keep(name, module.run())


main()
