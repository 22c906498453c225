"""Machines that are not here: their files below a folder, and what their tools say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from noibo.hardware.system import Answer, System


def machine(
    root: Path,
    files: Mapping[str, str] | None = None,
    tools: Mapping[str, str | Answer] | None = None,
    *,
    platform: str = "linux",
    kind: str = "x86_64",
) -> System:
    """A machine with these files. A tool is known by its whole command, or by its name; any other
    is not installed."""
    for name, text in (files or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    said = tools or {}

    def run(command: Sequence[str]) -> Answer:
        found = said.get(" ".join(command), said.get(command[0]))
        if found is None:
            return Answer(absent=True, problem=f"{command[0]} is not here")
        return Answer(found) if isinstance(found, str) else found

    return System(root, platform, kind, run)
