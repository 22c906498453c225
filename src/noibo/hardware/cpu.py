"""The processor: its name, and the cores this process can really use at the same time."""

from __future__ import annotations

import os
import platform
import re
from typing import Any, Final

import psutil

from noibo.hardware import cgroup
from noibo.hardware.instructions import listed, running
from noibo.hardware.machine import Cpu
from noibo.hardware.system import System

_NAMES: Final = ("model name", "Model", "Hardware", "cpu model", "Processor")
# A few makers' words that say nothing of which one it is.
_NOISE: Final = re.compile(r"\((?:R|TM|tm|r)\)|\bCPU\b(?=\s+@)|\s+@\s+[\d.]+\s*GHz|\s+Processor$")


def cpu(system: System) -> tuple[Cpu, list[str]]:
    """What is known of the processor, and what could not be found out."""
    affinity = allowed_threads()
    quota = cgroup.processors(system)
    notes = []
    threads = affinity
    if quota is not None and quota < affinity:
        threads = max(1, int(quota))
        notes.append(f"This container may use {quota:g} of {affinity} processors.")
    said = listed(system)
    ran, problem = running(system, said)
    if problem:
        notes.append(problem)
    return Cpu(name(system), min(_cores(affinity), threads), threads, ran, said), notes


def allowed_threads() -> int:
    """Hardware threads this process may run on."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def _cores(threads: int) -> int:
    """Cores behind so many threads: fewer where a core runs two of them."""
    physical, logical = psutil.cpu_count(logical=False), psutil.cpu_count()
    if not physical or not logical or physical >= logical:
        return threads
    return max(1, round(threads * physical / logical))


def name(system: System) -> str:
    """The processor's name as its maker has it; what kind it is where nobody says."""
    if system.platform == "darwin":
        said = system.run(("sysctl", "-n", "machdep.cpu.brand_string")).text.strip()
    else:
        said = _from_cpuinfo(system) or _from_lscpu(system)
    said = " ".join(_NOISE.sub(" ", said).split())
    return said or platform.processor() or system.machine or "unknown"


def _from_cpuinfo(system: System) -> str:
    rows: dict[str, str] = {}
    for line in system.text("proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            rows.setdefault(key.strip(), value.strip())
    return next((rows[one] for one in _NAMES if one in rows), "")


def _from_lscpu(system: System) -> str:
    """On ARM the kernel gives numbers; lscpu knows their names."""
    if system.platform != "linux":
        return ""
    for line in system.run(("lscpu",)).text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Model name" and value.strip() not in {"", "-"}:
            return value.strip()
    return ""
