"""The GPUs that the installed build can put layers on, asked of the engine itself.

It is asked in a process of its own, since a GPU's library may be of another driver and end whoever
loads it; and only where there are signs of a GPU, as that takes a second. What is free there is
believed for a moment, as one plan asks it for each of its sizes, and no longer than until a worker
comes or goes.
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
        self._forgotten = 0

    def __call__(self) -> tuple[Device, ...]:
        """What there is, in the engine's order."""
        if self._now() >= self._until:
            forgotten = self._forgotten
            self._found = self._look() if self._may_have() else ()
            if forgotten == self._forgotten:  # not while it was asked
                self._until = self._now() + FRESH_FOR_S
        return self._found

    def forget(self) -> None:
        """What is free is another amount now: the next one is told anew. From any thread."""
        self._forgotten += 1
        self._until = float("-inf")

    def ask(self) -> Usable:
        """What the engine says, asked now."""
        return self._ask()

    def _look(self) -> tuple[Device, ...]:
        return tuple(
            Device(
                one.name,
                one.free_bytes or one.memory_bytes,
                one.integrated or one.name.startswith(_OF_APPLE),
            )
            for one in self._ask().devices
        )
