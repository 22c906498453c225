"""A worker without a process of ours: another server, that is there or is not.

To callers and to the supervisor it is a worker like any: it has an address, slots, leases. It is
ready as soon as it is wanted; whether the other server answers shows when it is asked.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

from noibo import settings
from noibo.engines.engine import Engine, Launch, Model, Reach
from noibo.engines.memory.machine import Machine
from noibo.engines.remote.breaker import Breaker, Open
from noibo.engines.remote.waits import REFUSES_US
from noibo.engines.worker import State, Worker
from noibo.errors import EngineError, UpstreamFailed, UpstreamSilent


class Reached(Worker):
    """Made of a launch that has a `reach`."""

    reach: Reach

    def __init__(
        self,
        engine: Engine,
        model: Model,
        launch: Launch,
        limits: settings.Engine,
        on_end: Callable[[Worker], None] = lambda worker: None,
    ) -> None:
        super().__init__(engine, model, launch, limits, on_end)
        assert launch.reach is not None  # noqa: S101 - what it is made of
        self.reach = launch.reach
        self.key = launch.reach.key
        self.waits = launch.reach.patience.waits
        self._addresses: dict[str, str] = {}

    async def start(self) -> None:
        """There is nothing to wait for."""
        self._move(State.STARTING)
        self.url = self.reach.url
        self.started_at = self.ready_at = self.used_at = time.time()
        self.began = time.monotonic()
        self._move(State.READY)

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """Who asks is said where many turn away what does not say it."""
        usual = super().headers
        return {**usual, "User-Agent": "noibo"} if self.reach.place.outside else usual

    @property
    def breaker(self) -> Breaker:
        """Of its address."""
        return self.reach.breaker

    @property
    def serves(self) -> bool:
        return self.state is State.READY

    def examine(self, machine: Machine) -> None:
        """It holds no memory of which anything is known here."""

    def address(self, path: str) -> str:
        found = self._addresses.get(path)
        if found is None:
            found = self._addresses[path] = self.reach.dialect.address(self.url, path)
        return found

    async def died(self) -> EngineError:
        return UpstreamFailed(
            f"{self.model.name} is reached at {self.url}, and that does not answer.",
            next_step="See that the server there runs, or mend base_url in noibo.toml.",
        )

    def broke_off(self) -> EngineError:
        """It was there, and had begun."""
        return UpstreamFailed(
            f"{self.model.name} is reached at {self.url}, which broke off before the end of its "
            "answer.",
            next_step="Ask again, and see what the server there does.",
        )

    def silent(self, seconds: float) -> EngineError:
        return UpstreamSilent(
            f"{self.model.name} is reached at {self.url}, which said nothing for {seconds:g} s.",
            next_step="See what the server there does.",
        )

    def left_alone(self, left: Open) -> EngineError:
        """What a caller is told while it is not asked."""
        seconds = max(1, math.ceil(left.seconds))
        return UpstreamFailed(
            f"{self.model.name} is reached at {self.url}, which failed {left.failures} requests in "
            f"a row. It is left alone for now, and tried again in {seconds} s.",
            next_step="See that the server there runs: `noibo engines list`.",
            retry_after_s=left.seconds,
        )

    def refusal(self, status: int, error: EngineError) -> EngineError:
        """What it said no to was noibo's own key, or its place: not the caller's doing."""
        if status in REFUSES_US:
            return UpstreamFailed(
                f"{self.model.name} is reached at {self.url}, which refuses noibo's own key "
                f"(status {status}).",
                next_step="Mend api_key in noibo.toml; the key of the caller is another.",
            )
        if 300 <= status < 400:
            return UpstreamFailed(
                f"{self.model.name} is reached at {self.url}, which answers that it is somewhere "
                f"else (status {status}). That is not followed.",
                next_step="Mend base_url in noibo.toml.",
            )
        return error

    def facts(self) -> dict[str, Any]:
        facts = super().facts()
        placed = facts["placement"] | {"breaker": self.breaker.state}
        return facts | {"memory_bytes": 0, "placement": placed}
