"""All connections: who may come in, and who has stood still for too long.

One look a second at all of them, and no timer for any. When all places are taken, those go first
that nobody misses: idle ones. An address elsewhere may have as many as there are places left, so
that one alone gets half of them and there is always one for who comes for the first time.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from noibo.addresses import household, is_own
from noibo.connections.connection import Connection, Duty
from noibo.errors import NoiboError, TooManyConnections

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
TELL_EVERY_S: Final = 60.0
HEAD_S: Final = 30.0  # from the first byte, or from accept, to the end of the headers
CLOSING_S: Final = 5.0
LEAST_BYTES: Final = 1024  # in `stall_s`; less is none
AGAIN_S: Final = 5.0
_AT_ONCE: Final = 16  # one of so many gives way when there is no place left


@dataclass(slots=True)
class _Watched:
    """What is known of one connection: what it owes since when, and what was done of it then."""

    address: str  # of who is elsewhere, as it is counted
    owes: Duty | None
    since: float
    done: int = 0


class Census:
    """At most `most` connections, each watched. Lives on one event loop."""

    def __init__(self, most: int, stall_s: float) -> None:
        self._most = most
        self._stall_s = stall_s
        self._all: dict[Connection, _Watched] = {}
        self._of_address: Counter[str] = Counter()
        self._looked: asyncio.TimerHandle | None = None
        self._crowded_until = self._due = 0.0
        self._counts: Counter[str] = Counter()
        self._told_at = -math.inf

    def __len__(self) -> int:
        return len(self._all)

    def connection(self, **uvicorns: Any) -> Connection:
        """A new one, as uvicorn makes it."""
        return Connection(self, **uvicorns)

    def enter(self, one: Connection) -> NoiboError | None:
        """Take it in. The reason, if there is no place for it."""
        loop = asyncio.get_running_loop()
        if self._looked is None:
            self._looked = self._look_later(loop)
        address = _elsewhere(one.client)
        left = self._most - len(self._all)
        if left <= 0:
            left += self._make_room(loop.time())
        refused = left <= 0 or (bool(address) and self._of_address[address] >= left)
        self._all[one] = _Watched(address, Duty.HEAD, loop.time())
        if address:
            self._of_address[address] += 1
        if left < -(self._most // _AT_ONCE):
            one.transport.abort()  # so many are being told already
        if not refused or one.transport.is_closing():
            return None
        return TooManyConnections(
            f"All {self._most} connections are taken."
            if left <= 0
            else f"{address} has {self._of_address[address] - 1} connections already.",
            next_step="Try again, with fewer at the same time, or raise server.connections.",
            retry_after_s=AGAIN_S,
        )

    def leave(self, one: Connection) -> None:
        """It is closed."""
        watched = self._all.pop(one, None)
        if watched is not None and watched.address:
            self._of_address[watched.address] -= 1
            if not self._of_address[watched.address]:
                del self._of_address[watched.address]

    def count(self, what: str) -> None:
        """One was refused or dropped for that."""
        self._counts[what] += 1

    def _make_room(self, now: float) -> int:
        """Close some that are idle, the longest idle first. How many places that gives."""
        if now < self._crowded_until:
            return 0
        idle = [(w.since, i, one) for i, (one, w) in enumerate(self._all.items()) if one.idle]
        going = [one for *_, one in sorted(idle)[: max(self._most // _AT_ONCE, 1)]]
        for one in going:
            self.count("idle_closed")
            one.transport.close()
        if not going:  # it is no use to look again at once
            self._crowded_until = now + LOOK_EVERY_S
        return len(going)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle:
        self._due = loop.time() + LOOK_EVERY_S
        return loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now, lost = loop.time(), max(loop.time() - self._due - LOOK_EVERY_S, 0.0)
        self._looked = self._look_later(loop) if self._all else None
        for one, watched in list(self._all.items()):
            watched.since += lost  # nobody read meanwhile what they may have sent
            try:
                self._look_at(one, watched, now)
            except Exception:  # the others are to be looked at all the same
                log.exception("a connection could not be looked at")
                one.transport.abort()
        if self._counts and now - self._told_at >= TELL_EVERY_S:
            said = ", ".join(f"{what} {n}" for what, n in self._counts.most_common())
            log.warning("connections refused or dropped: %s", said)
            self._counts.clear()
            self._told_at = now

    def _look_at(self, one: Connection, watched: _Watched, now: float) -> None:
        duty, done = one.owes()
        if duty is not watched.owes or done - watched.done >= _least(duty):
            watched.owes, watched.since, watched.done = duty, now, done
        elif duty is not None and (late := now - watched.since) > self._patience(duty):
            if duty is Duty.READING:
                log.warning("%s does not read its answer: dropped", one.client)
            one.give_up(duty, late)

    def _patience(self, duty: Duty) -> float:
        return min({Duty.HEAD: HEAD_S, Duty.CLOSING: CLOSING_S}.get(duty, math.inf), self._stall_s)


def _least(duty: Duty | None) -> float:
    """So much must have been done for it to count; of some duties no part does."""
    if duty is None:
        return 1
    return LEAST_BYTES if duty in {Duty.BODY, Duty.READING} else math.inf


def _elsewhere(client: tuple[str, int] | None) -> str:
    """Whom to count it for; empty on this machine."""
    return "" if client is None or is_own(client[0]) else household(client[0])
