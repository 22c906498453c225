"""Receipts of requests that have ended, to be looked at by who sent them, or by an admin.

The last ones are in memory, whole. Of older ones that left, the ledger at the door knows what left;
of a request that asked only models of this machine the response's header has said all there is.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from noibo.egress import Door
from noibo.egress_ledger import Departed, departures
from noibo.errors import NotFound
from noibo.gateway.access.identity import Identity
from noibo.gateway.leaving.journey import Journey
from noibo.privacy.receipt import STAYED, tried_json

MOST: Final = 4096


class Receipts:
    """By the ids of requests."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._live: dict[str, Journey] = {}
        self._kept: OrderedDict[str, tuple[str, dict[str, Any]]] = OrderedDict()

    def begin(self, journey: Journey) -> None:
        """One that can be asked for from now on: its caller has the id with the first headers."""
        self._live[journey.request_id] = journey

    def keep(self, request: str, owner: str, told: dict[str, Any]) -> None:
        """That of a request which has ended; of work that goes on for it, it takes its place."""
        self._live.pop(request, None)
        self._kept[request] = (owner, told)
        self._kept.move_to_end(request)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def recent(self, request: str, who: Identity) -> dict[str, Any] | None:
        """What is in memory of it, if it is this one's to see."""
        if (live := self._live.get(request)) is not None:
            return live.as_json() if _may_see(who, live.owner) else None
        owner, told = self._kept.get(request, ("", {}))
        return told if told and _may_see(who, owner) else None

    def find(self, request: str, who: Identity) -> dict[str, Any]:
        """Reads the whole ledger: not for the event loop. Raises `NotFound`, `LedgerError`."""
        ledger, record = self._door.ledger, self._door.record
        if ledger is not None and record is not None and record.exists():
            mine = ledger.node.pseudonym(who.owner)
            found = [
                one
                for one in _of_request(record, request)
                if who.grant.role == "admin" or one.user == mine
            ]
            if found:
                return _told(request, found)
        raise NotFound(
            f"Nothing is known of a request {request[:80]!r} that left this machine.",
            next_step="Receipts go by the header X-Request-Id of a response, to who sent it.",
        )


def _may_see(who: Identity, owner: str) -> bool:
    return who.owner == owner or who.grant.role == "admin"


def _of_request(record: Path, request: str) -> list[Departed]:
    return [one for one in departures(record) if one.request == request]


def _told(request: str, found: list[Departed]) -> dict[str, Any]:
    went = [one for one in found if not one.stayed]
    return {
        "receipt": "left this machine" if went else STAYED,
        "stayed": not went,
        "request_id": request,
        "label": found[-1].label,
        "policy": found[-1].policy,
        "time": found[0].time,
        "sent": [
            {
                "row": one.number,
                "destination": one.destination,
                "purpose": one.purpose,
                "bytes": one.bytes,
                "sent": one.sent,
                "received": one.received,
                "outcome": one.outcome or "open",
                "digest": one.digest,
            }
            for one in went
        ],
        "tried": tried_json(one.destination for one in found if one.stayed),
    }
