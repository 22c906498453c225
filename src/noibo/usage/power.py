"""What this machine draws: measured where it can be, by RAPL (processor and memory) and nvidia-smi.

Both tell less than a meter at the socket: not what the power supply, fans and disks take.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from noibo.usage.local_cost import LocalCost
from noibo.usage.money import decimal

if TYPE_CHECKING:
    from noibo.hardware.system import System
    from noibo.money_settings import Usage

FILE_NAME: Final = "power.json"  # in NOIBO_HOME
_ZONES: Final = "sys/class/powercap/*-rapl:*"
_NVIDIA: Final = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")
_MICRO: Final = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Power:
    """Watts over some time; None: not readable here, and `problems` say why."""

    cpu_watts: Decimal | None = None
    gpu_watts: Decimal | None = None
    problems: tuple[str, ...] = ()

    @property
    def watts(self) -> Decimal | None:
        """Both together, as far as there are both."""
        known = [one for one in (self.cpu_watts, self.gpu_watts) if one is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def by(self) -> str:
        """What was read."""
        parts = (("RAPL", self.cpu_watts), ("nvidia-smi", self.gpu_watts))
        return " and ".join(name for name, watts in parts if watts is not None)


def measure(
    system: System,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Power:
    """What is drawn in the next seconds."""
    before, began = _energy(system), clock()
    sleep(seconds / 2)
    gpu, problem = _gpu_watts(system)  # in the middle: it is what is drawn at one moment
    sleep(seconds / 2)
    after, took = _energy(system), clock() - began
    problems = [problem] if problem else []
    cpu = None
    if before and before.keys() == after.keys() and took > 0:
        used = sum(_used(before[name], after[name]) for name in before)
        cpu = (Decimal(used) / _MICRO / Decimal(str(took))).quantize(Decimal("0.1"))
    else:
        problems.append(
            "RAPL cannot be read: energy_uj below /sys/class/powercap is not there, or only for "
            "root."
        )
    return Power(cpu, gpu, tuple(problems))


def keep(home: Path, power: Power, at: str) -> None:
    """Let what was measured count, until it is measured anew."""
    from noibo.modelstore.disk import write_atomically

    home.mkdir(parents=True, exist_ok=True)
    row = {"watts": str(power.watts), "by": power.by, "at": at}
    write_atomically(home / FILE_NAME, json.dumps(row).encode())


def measured(home: Path) -> tuple[Decimal, str] | None:
    """Watts that were measured here, and how; None: they never were."""
    try:
        row = json.loads((home / FILE_NAME).read_text(encoding="utf-8"))
        watts = Decimal(str(row["watts"]))
        return (watts, f"{row['by']}, {row['at']}") if watts.is_finite() and watts >= 0 else None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return None


def local_cost(usage: Usage, home: Path) -> LocalCost:
    """This machine, by what is set, and what was measured where nothing is."""
    found = None if usage.watts is not None else measured(home)
    watts, by = found or (None if usage.watts is None else decimal(usage.watts, "watts"), "")
    return LocalCost(
        watts=watts,
        kwh_price=None if usage.kwh_price is None else decimal(usage.kwh_price, "kwh_price"),
        hardware_price=None
        if usage.hardware_price is None
        else decimal(usage.hardware_price, "hardware_price"),
        years=decimal(usage.hardware_years, "hardware_years"),
        used=decimal(usage.hardware_used, "hardware_used"),
        idle_watts=decimal(usage.idle_watts, "idle_watts"),
        measured=by,
    )


def _energy(system: System) -> dict[str, tuple[int, int]]:
    """Microjoules that each part has used, and where its counter begins anew. Parts of a package
    (its cores) are in it; those beside it, as memory, are not, on servers."""
    found = {}
    for path in system.paths(f"{_ZONES}/energy_uj"):
        folder = "/" + str(path.parent.relative_to(system.root))
        name = system.text(f"{folder}/name").strip()
        used, most = (
            system.number(f"{folder}/energy_uj"),
            system.number(f"{folder}/max_energy_range_uj"),
        )
        if used is not None and (name.startswith("package") or name == "dram"):
            found[folder] = (used, most or 0)
    return found


def _used(before: tuple[int, int], after: tuple[int, int]) -> int:
    used = after[0] - before[0]
    return used if used >= 0 else used + after[1]


def _gpu_watts(system: System) -> tuple[Decimal | None, str]:
    answer = system.run(_NVIDIA)
    if answer.absent:
        return None, ""
    try:
        drawn = [Decimal(line.strip()) for line in answer.text.splitlines() if line.strip()]
    except ArithmeticError:
        drawn = []
    if answer.problem or not drawn:
        return None, answer.problem or "nvidia-smi does not say what the cards draw."
    return sum(drawn, Decimal(0)), ""
