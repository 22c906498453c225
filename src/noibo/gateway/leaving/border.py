"""Where it is decided whether a request may leave this machine: `engines.remote.clearance` asks
here, for every request to every model that is not on it, whichever API it came by.

    label (who says one, what the detector finds) → rule (leave, redact, stay) → budget → leave

Nothing here has a default that lets something out: what cannot be judged, paid for or written down
stays, and the caller is told why and what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from noibo.egress import Door, Purpose
from noibo.engines.remote.clearance import Cleared
from noibo.engines.remote.dialect import OF_TOKENS
from noibo.engines.remote.reached import Reached
from noibo.errors import NotSupported
from noibo.gateway.access.identity import BY_KEY, now
from noibo.gateway.leaving import most
from noibo.gateway.leaving.accounts import Accounts, Asked
from noibo.gateway.leaving.crossing import Bill, Crossing, Tasks, Way
from noibo.gateway.leaving.detection import Detection
from noibo.gateway.leaving.journey import Journey
from noibo.gateway.leaving.labels import said_of
from noibo.gateway.leaving.providers import asked_of, without_probabilities
from noibo.gateway.leaving.receipts import Receipts
from noibo.gateway.watching.record import Record, current
from noibo.privacy.judgement import Judgement
from noibo.privacy.outgoing import Outgoing
from noibo.privacy.redaction import Redaction
from noibo.settings import Settings
from noibo.usage.entry import UsageEntry, new_id
from noibo.usage.rules import Spender
from noibo.wire.openrouter import is_openrouter

TRUSTED: Final = "trusted"  # the word that a server of one's own is asked by


class Border:
    """One server's. It is a `Clearance`."""

    def __init__(
        self, settings: Settings, door: Door, detection: Detection, accounts: Accounts
    ) -> None:
        self.detection = detection
        self.accounts = accounts
        self.receipts = Receipts(door)
        self._settings = settings
        self._door = door
        self._tasks = Tasks()

    def expect(self) -> None:
        """See `Clearance`: its caller may hear something, and with it a receipt, before it has a
        slot and is judged."""
        self.journey(current())

    async def clear(self, worker: Reached, path: str, fields: Mapping[str, Any]) -> Cleared:
        """Leave to ask a model elsewhere. Raises `EgressRefused`, `MustStay`, `BudgetExceeded`,
        `PriceUnknown`."""
        record, place = current(), worker.reach.place
        if path in OF_TOKENS and not worker.reach.trusted:
            raise NotSupported(
                f"{worker.model.name} is at {place.destination}: to count its tokens would send "
                "the text there, and that is done for answers only.",
                next_step="Ask it, and read the usage of its answer.",
            )
        passed = self._door.open(Purpose.CLOUD_MODEL, [place.destination])
        journey = self.journey(record)
        trusted = worker.reach.trusted
        if trusted:
            judgement = await self._believed(journey, record, worker)
            journey.trusted.add(str(place.destination))
            going, redacted = Outgoing(dict(fields), Redaction()), {}
        else:
            said = said_of(record, self._settings, worker.model.name)
            judgement = await self.detection.judge(journey, fields, said)
            going = await self.detection.hide(journey, judgement, fields, path)
            redacted = dict(going.redaction.counts)
        policy = TRUSTED if trusted else judgement.policy.fingerprint
        way = Way(place, passed, journey, judgement, policy, now().owner, redacted)
        own = self._settings.models.get(worker.model.name)
        openrouter = is_openrouter(place.destination.host) or (own is not None and own.openrouter)
        asked, drops_count = asked_of(path, going.fields, openrouter=openrouter)
        if going.redaction and without_probabilities(asked):
            journey.left_out.add("logprobs")
        bill = await self._bill(worker, record, judgement, Asked(path, asked))
        going = Outgoing(asked, going.redaction)
        return Crossing(way, bill, going, self._tasks, drops_count=drops_count)

    def journey(self, record: Record) -> Journey:
        """That of a request which may leave, begun where it has none yet."""
        if record.journey is None:
            record.journey = Journey(record.id, now().owner, record.at, self.receipts.keep)
            self.receipts.begin(record.journey)
        return record.journey

    async def close(self) -> None:
        """What was begun is settled."""
        await self._tasks.close()

    async def _believed(self, journey: Journey, record: Record, worker: Reached) -> Judgement:
        """Of what goes to a server of one's own: by what is said of it, without a look."""
        said = said_of(record, self._settings, worker.model.name)
        return journey.judged(Judgement.of(self.detection.policy, said))

    async def _bill(
        self, worker: Reached, record: Record, judgement: Judgement, asked: Asked
    ) -> Bill:
        """What is put aside for it. Under a budget of money an answer has an end: see `most`."""
        who, reach = now(), worker.reach
        draft = UsageEntry(
            id=new_id(),
            request=record.id,
            at=record.at,
            owner=who.owner,
            model=worker.model.name,
            key=who.by,
            asked=record.asked or worker.model.name,
            route=record.strategy,
            reasons=record.reasons,
            local=reach.trusted,  # the house's own, as what runs here
            destination=str(reach.place.destination),
            label=judgement.label,
        )
        spender = Spender(who.owner, who.by if who.by.startswith(BY_KEY) else "", who.key_name)
        if not reach.trusted and self.accounts.counts_money(spender, worker.model.name):
            most.limited(reach.place.destination.host, asked.path, asked.fields)
        call = await asyncio.to_thread(self.accounts.call, draft, spender, reach.model, asked)
        own = self._settings.models.get(worker.model.name)
        if is_openrouter(reach.place.destination.host) or (own is not None and own.tells_cost):
            call = replace(call, believed=True)
        if reach.trusted:
            return Bill(self.accounts, call, None)
        return Bill(self.accounts, call, await self.accounts.reserve(call))
