"""What is asked before a request leaves this machine. The gateway answers: here is only what it is
asked, and by this alone can a model elsewhere be reached.

    clear the request ──► depart, before each attempt ──► hear the answer ──► settle
    (may refuse, or                (a row at the door)       (told back in the
     change its fields)                                       caller's own words)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from noibo.engines import line
    from noibo.engines.remote.reached import Reached


class Cleared(Protocol):
    """One request that may leave. `fields` are what goes: perhaps others than were asked with."""

    fields: Mapping[str, Any]

    async def depart(self, url: str, body: bytes) -> line.Leave:
        """Leave for one attempt, written down before the first byte. Raises `EgressRefused`."""

    def told(self, response: line.Response) -> line.Response:
        """The answer in the caller's own words. Closing it settles what it took."""

    def failed(self, why: BaseException) -> None:
        """There is no answer."""


class Clearance(Protocol):
    """Judges what is asked of one model elsewhere."""

    def expect(self) -> None:
        """This request may be going to leave: until that is decided nobody says that it stayed."""

    async def clear(self, worker: Reached, path: str, fields: Mapping[str, Any]) -> Cleared:
        """Leave to ask this. Raises `LabelRefused`, `EgressRefused`, `OverBudget`."""
