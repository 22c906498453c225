"""A worker without a process of ours: another server, that is there or is not.

To callers and to the supervisor it is a worker like any: it has an address, slots, leases. It is
ready as soon as it is wanted; whether the other server answers shows when it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from noibo.engines.memory.machine import Machine
from noibo.engines.worker import State, Worker
from noibo.errors import EngineError, UpstreamFailed

PAUSES: Final = (0.1, 0.4)  # seconds before it is asked once more, while it has said nothing
_REFUSES_US: Final = frozenset({401, 403, 407})


class Reached(Worker):
    """Made of a launch that has a `reach`."""

    pauses = PAUSES
    _name = msgspec.Raw(b'""')

    async def start(self) -> None:
        """There is nothing to wait for."""
        assert self.launch.reach is not None  # noqa: S101 - what it is made of
        self._move(State.STARTING)
        self.url, self.key = self.launch.reach.url, self.launch.reach.key
        self._name = msgspec.Raw(msgspec.json.encode(self.launch.reach.model))
        self.started_at = self.ready_at = self.used_at = time.time()
        self.began = time.monotonic()
        self._move(State.READY)

    @property
    def serves(self) -> bool:
        return self.state is State.READY

    def examine(self, machine: Machine) -> None:
        """It holds no memory of which anything is known here."""

    def address(self, path: str) -> str:
        """Its paths begin where its base address ends, whatever that ends in."""
        return self.url + path.removeprefix("/v1")

    def asked(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the name that the model has there."""
        return {**fields, "model": self._name}

    async def died(self) -> EngineError:
        return UpstreamFailed(
            f"{self.model.name} is reached at {self.url}, and that does not answer.",
            next_step="See that the server there runs, or mend base_url in noibo.toml.",
        )

    def silent(self, seconds: float) -> EngineError:
        return UpstreamFailed(
            f"{self.model.name} is reached at {self.url}, which said nothing for {seconds:.0f} s.",
            next_step="See what the server there does.",
        )

    def refusal(self, status: int, error: EngineError) -> EngineError:
        """What it said no to was noibo's own key, or its place: not the caller's doing."""
        if status in _REFUSES_US:
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
        return super().facts() | {"memory_bytes": 0}
