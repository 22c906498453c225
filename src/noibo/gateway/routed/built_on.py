"""What a request to `/v1/responses` builds on and does not send: the conversation that stands on
this server. Who is to answer is decided with it in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.errors import NoiboError
from noibo.gateway.access.identity import now
from noibo.gateway.leaving.labels import taken_up
from noibo.gateway.services import Services
from noibo.privacy.judgement import Reason
from noibo.privacy.walk import OWN
from noibo.routing.candidates import Candidate
from noibo.routing.stickiness import Previous
from noibo.wire.body import UNREADABLE, Fields, Json, field, raw
from noibo.wire.responses.budget import Budget

_PATH: Final = "/v1/responses"


@dataclass(frozen=True, slots=True)
class BuiltOn:
    """`items`: all that was said before; `model`: what answered last; `said`: the label that is
    kept with its answer."""

    items: Sequence[Json] = ()
    model: str = ""
    said: tuple[Reason, ...] = ()

    def joined(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same request, as if it sent all of it."""
        if not self.items:
            return fields
        try:
            asked = msgspec.json.decode(fields["input"])
        except (*UNREADABLE, KeyError, TypeError):
            return fields
        turns = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
        return {**fields, "input": raw([*self.items, *turns])}

    def previous(self, candidates: Sequence[Candidate]) -> Previous | None:
        """What answered last, if it is one of these."""
        found = [one.local for one in candidates if one.name == self.model]
        return Previous(self.model, found[0]) if found else None


async def built_on(services: Services, path: str, fields: Fields) -> BuiltOn:
    """Nothing where it builds on nothing, or on what cannot be had: who reads it next says why."""
    if path != _PATH or "previous_response_id" not in fields:
        return BuiltOn()
    try:
        last = field(fields, "previous_response_id", str)
        if not last:
            return BuiltOn()
        records, owner = (await services.stored()).responses, now().owner
        kept = await records.get(owner, last)
        most = services.settings.server.max_body_bytes
        items = await records.history(owner, last, Budget(most))
    except NoiboError:
        return BuiltOn()
    return BuiltOn(items, str(kept.get("model") or ""), taken_up(kept.get(OWN), last))
