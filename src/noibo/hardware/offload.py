"""Which GPUs the installed engine can use, and what to do about one that it cannot.

Only the engine itself knows: it is asked in a child process, since the library of a GPU's build
may be of another driver and end whoever loads it.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Final

from noibo.hardware.machine import Gpu, Vendor
from noibo.settings import bare_environment, python_executable

PATIENCE_S: Final = 60.0
MIB: Final = 2**20
_ASK: Final = """
import json, xllamacpp
print()
print(json.dumps([
    [one["name"], one["description"] or one["name"], str(one["type"]),
     int(one.get("memory_total") or 0), int(one.get("memory_free") or 0)]
    for one in xllamacpp.get_device_info()
]))
"""
BUILDS: Final = {"nvidia": "cuda", "amd": "rocm", "intel": "vulkan"}
_WORDS: Final[dict[Vendor, tuple[str, ...]]] = {
    "nvidia": ("cuda", "nvidia", "geforce", "quadro", "tesla"),
    "amd": ("rocm", "amd", "radeon"),
    "intel": ("sycl", "intel"),
    "apple": ("metal", "mtl", "apple"),
}


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as the engine names it: `CUDA0`, `Vulkan0`, `Metal`. `integrated`: it is part of the
    processor, and takes the machine's memory."""

    name: str
    description: str
    memory_bytes: int = 0
    free_bytes: int = 0
    integrated: bool = False


@dataclass(frozen=True, slots=True)
class Usable:
    """The GPUs that the engine can use; or how its process ended, where it could not be asked."""

    devices: tuple[Device, ...] = ()
    problem: str = ""
    code: int = 0


def ask_engine(python: str = "") -> Usable:
    """Ask the installed engine, or that of another environment's `python`, in a process of its own.
    Takes a second: not on the event loop."""
    try:
        done = subprocess.run(
            [python or python_executable(), "-c", _ASK],
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Usable(problem=f"it did not answer within {PATIENCE_S:.0f} s", code=-1)
    if done.returncode:
        return Usable(
            problem=done.stderr.strip() or "it ended without a word", code=done.returncode
        )
    return read_devices(done.stdout)


def read_devices(text: str) -> Usable:
    """The devices in the last line of what the child said: a driver may have written before it. As
    llama.cpp does, those within a processor are taken only where there is no other."""
    try:
        rows = json.loads(text.strip().splitlines()[-1])
        found = [
            Device(row[0], row[1], row[3], row[4], "IGPU" in row[2].upper())
            for row in rows
            if "GPU" in row[2].upper()
        ]
    except (ValueError, IndexError, TypeError, KeyError, AttributeError):
        return Usable(problem="it said no list of devices", code=-1)
    own = [one for one in found if not one.integrated]
    return Usable(tuple(own or found))


def vendors(usable: Usable) -> frozenset[Vendor]:
    """Whose GPUs the engine can use: by a device's name, or by what it is called where a build
    (Vulkan) takes any."""
    found: set[Vendor] = set()
    for one in usable.devices:
        for vendor, words in _WORDS.items():
            if any(word in f"{one.name} {one.description}".lower() for word in words):
                found.add(vendor)
    return frozenset(found)


def unused(gpus: tuple[Gpu, ...], usable: Usable) -> Gpu | None:
    """A GPU worth using that the engine cannot use; None where all is well. Where it can use one,
    it is of a build for that one's maker: another maker's stays unused and is no mistake."""
    if usable.devices:
        return None
    own = [gpu for gpu in gpus if not gpu.shared_memory or gpu.vendor in {"apple", "nvidia"}]
    return max(own, key=lambda gpu: gpu.memory_bytes, default=None)


def command_for(gpu: Gpu) -> str:
    """What installs a build of the engine that can use it."""
    if gpu.vendor == "apple":
        return "python -m pip install --force-reinstall --no-deps xllamacpp"
    return f"noibo engines install {BUILDS[gpu.vendor]}"


def advice(gpus: tuple[Gpu, ...], usable: Usable) -> str:
    """One line about a GPU that lies idle, with the command that mends it; empty if none does."""
    idle = unused(gpus, usable)
    if idle is None:
        return ""
    return (
        f"There is {idle.name}, but the installed engine cannot use it: models run on the "
        f"processor. `{command_for(idle)}` installs a build that can."
    )
