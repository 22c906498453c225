"""How often somebody may guess a password. Told the time; knows no clock.

After a few failures at one name from one address the next attempt must wait, twice as long each
time. An address may fail at more names than one, as a company behind one gate does, so its own
count has more room; and so has a name's, for guesses from many addresses: nobody can lock out
somebody else from one place. Names that do not exist count as well: who waits learns nothing of who
is there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from noibo.addresses import household
from noibo.errors import TooManyAttempts

# Failures that cost nothing.
FREE: Final[Mapping[str, int]] = {"both": 5, "address": 30, "name": 100}
FIRST_S: Final = 2.0
LONGEST_S: Final = 900.0
FORGOTTEN_S: Final = 3600.0
MOST: Final = 20_000  # counts that are kept; the oldest go first


@dataclass(slots=True)
class _Count:
    failures: int
    last: float

    def wait_s(self, kind: str, now: float) -> float:
        """Seconds until the next attempt is taken."""
        beyond = self.failures - FREE[kind]
        if beyond < 0 or now - self.last >= FORGOTTEN_S:
            return 0.0
        wait = min(FIRST_S * 2.0 ** min(beyond, 20), LONGEST_S)
        return max(0.0, self.last + wait - now)


class Lockout:
    """Counts failed attempts."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def require(self, name: str, address: str, now: float) -> None:
        """Raises `TooManyAttempts` while an attempt must wait. It counts as one that has begun, so
        that a thousand at the same moment are not all free."""
        wait = max(
            (
                self._counts[which].wait_s(which[0], now)
                for which in _counted(name, address)
                if which in self._counts
            ),
            default=0.0,
        )
        if wait > 0:
            raise TooManyAttempts(
                "Too many attempts to sign in have failed.",
                next_step=f"Wait {wait:.0f} seconds.",
                retry_after_s=wait,
            )
        self._count(name, address, now)

    def forgive(self, name: str, address: str) -> None:
        """An attempt has succeeded."""
        both, *others = _counted(name, address)
        self._counts.pop(both, None)
        for which in others:
            if count := self._counts.get(which):
                count.failures -= 1

    def _count(self, name: str, address: str, now: float) -> None:
        for which in _counted(name, address):
            count = self._counts.setdefault(which, _Count(0, now))
            if now - count.last >= FORGOTTEN_S:
                count.failures = 0
            count.failures += 1
            count.last = now
            self._counts.move_to_end(which)
        while len(self._counts) > MOST:
            self._counts.popitem(last=False)


def _counted(name: str, address: str) -> tuple[tuple[str, str], ...]:
    house = household(address)
    return ("both", f"{name}\n{house}"), ("address", house), ("name", name)
