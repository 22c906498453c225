"""The GPUs that the installed build can put layers on, asked of the engine itself.

It is asked in a process of its own, since a GPU's library may be of another driver and end whoever
loads it; and only where there are signs of a GPU, as that takes a second. What is free there is
believed for a moment: one plan asks it for each of its sizes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from noibo.engines.llama_cpp.offload import Device
from noibo.hardware.gpus import suspected
from noibo.hardware.offload import Usable, ask_engine
from noibo.hardware.system import System

FRESH_FOR_S: Final = 10.0
_OF_APPLE: Final = ("Metal", "MTL")  # its GPUs take the machine's memory

Devices = Callable[[], tuple[Device, ...]]


def none() -> tuple[Device, ...]:
    """No GPU, whatever the machine has."""
    return ()


class EngineDevices:
    """Asks the engine, now and then. Takes a second where there is a GPU: not for the event
    loop."""

    def __init__(
        self,
        may_have: Callable[[], bool] = lambda: suspected(System()),
        ask: Callable[[], Usable] = ask_engine,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._may_have = may_have
        self._ask = ask
        self._now = now
        self._found: tuple[Device, ...] = ()
        self._until = float("-inf")

    def __call__(self) -> tuple[Device, ...]:
        """What there is, in the engine's order."""
        if self._now() >= self._until:
            self._found = self._look() if self._may_have() else ()
            self._until = self._now() + FRESH_FOR_S
        return self._found

    def _look(self) -> tuple[Device, ...]:
        return tuple(
            Device(one.name, one.free_bytes or one.memory_bytes, one.name.startswith(_OF_APPLE))
            for one in self._ask().devices
        )
