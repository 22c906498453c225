"""What a machine is asked through: its own files, and the tools of the makers of its parts.

Both can be others in a test. A tool that is absent, hangs, fails or says nonsense never breaks
anything: its answer says why it is none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from platform import machine as processor_kind
from typing import Any, Final

from noibo.settings import bare_environment

PATIENCE_S: Final = 15.0  # nvidia-smi needs some seconds where the driver has to wake up
# Where tools lie that are not on the path: WSL's driver, ROCm.
_FURTHER: Final = ("/usr/lib/wsl/lib", "/opt/rocm/bin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool said, or why it said nothing. A tool that is not here is no problem."""

    text: str = ""
    problem: str = ""
    absent: bool = False


Runner = Callable[[Sequence[str]], Answer]


def run_tool(command: Sequence[str], patience_s: float = PATIENCE_S) -> Answer:
    """Run a tool of the system, for so long and no longer; its words in English."""
    name = command[0]
    found = shutil.which(name) or next(
        (path for one in _FURTHER if (path := shutil.which(name, path=one))), None
    )
    if found is None:
        return Answer(absent=True, problem=f"{name} is not here")
    try:
        done = subprocess.run(
            [found, *command[1:]],
            env=bare_environment() | {"LC_ALL": "C", "LANG": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(problem=f"{name} did not answer within {patience_s:g} s")
    except OSError as exc:
        return Answer(problem=f"{name} could not be run ({exc.strerror or exc})")
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing was said"]
        return Answer(done.stdout, f"{name} failed with {done.returncode}: {_sentence(said[-1])}")
    return Answer(done.stdout)


def _sentence(said: str) -> str:
    """A tool's words within ours, which end themselves."""
    return said[:160].rstrip(" .")


@dataclass(frozen=True, slots=True)
class System:
    """One machine: its files below `root`, its kind as Python names it, its tools."""

    root: Path = Path("/")
    platform: str = sys.platform
    machine: str = field(default_factory=processor_kind)
    run: Runner = run_tool

    @property
    def is_x86(self) -> bool:
        return self.machine.lower() in {"x86_64", "amd64", "x64"}

    @property
    def is_arm(self) -> bool:
        return self.machine.lower() in {"aarch64", "arm64"}

    def text(self, path: str | Path) -> str:
        """A file below the root; empty where it cannot be read."""
        try:
            return (self.root / str(path).lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):
            return ""

    def number(self, path: str | Path) -> int | None:
        """A file that holds one whole number."""
        return whole_number(self.text(path))

    def paths(self, pattern: str) -> list[Path]:
        """Files below the root by a pattern, in order."""
        try:
            return sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []

    def graphics(self, vendor: str) -> list[str]:
        """The folders of a maker's cards, as paths below the root."""
        found = []
        for said in self.paths("sys/class/drm/card[0-9]*/device/vendor"):
            folder = "/" + str(said.parent.relative_to(self.root))
            if self.text(f"{folder}/vendor").strip() == vendor:
                found.append(folder)
        return found


def whole_number(text: str) -> int | None:
    """The number that a text is; None of anything else, and of one too long to be read."""
    text = text.strip()
    try:
        return int(text) if text.isascii() and text.isdigit() else None
    except ValueError:
        return None


def parsed(answer: Answer) -> Any:
    """The JSON in an answer, also after lines of warnings; None where there is none."""
    text = answer.text
    for start in sorted(place for place in (text.find("{"), text.find("[")) if place >= 0):
        try:
            return json.JSONDecoder().raw_decode(text[start:])[0]
        except (ValueError, RecursionError):
            continue
    return None
