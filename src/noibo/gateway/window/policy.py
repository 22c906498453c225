"""What becomes of a request that is longer than its model's window, and who decides that.

In order: the header, the API's own field, the setting of the model, that of the server, and what
is usual in the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from noibo.errors import InvalidRequest
from noibo.gateway.window.cut import Cut
from noibo.settings import Settings
from noibo.wire.management import CONTEXT_HEADER


class Policy(Enum):
    """What is done with it."""

    REFUSE = "refuse"
    DROP_OLDEST = "drop_oldest"
    SUMMARISE = "summarise"  # what would be dropped


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request says of it. `field`: by its API's own field; `usual`: what its API does where
    nobody says. `whole`: it makes no sense shortened. `cut`: what was cut of it on the way here."""

    field: Policy | None = None
    usual: Policy = Policy.REFUSE
    whole: bool = False
    cut: Cut | None = None


@dataclass(frozen=True, slots=True)
class Policies:
    """The settings' word."""

    settings: Settings = Settings()

    def choose(self, header: Policy | None, wish: Wish, model: str) -> Policy:
        """What holds for one request."""
        own = self.settings.models.get(model)
        said = (own.context_policy if own else "") or self.settings.server.context_policy
        return header or wish.field or (Policy(said) if said else wish.usual)


def by_header(headers: Mapping[str, str]) -> Policy | None:
    """What the caller says. Raises `InvalidRequest`."""
    said = headers.get(CONTEXT_HEADER)
    if said is None:
        return None
    try:
        return Policy(said.strip().lower())
    except ValueError:
        raise InvalidRequest(
            f"{CONTEXT_HEADER}: {said[:40]!r} is none of "
            f"{', '.join(policy.value for policy in Policy)}.",
            param=CONTEXT_HEADER,
            next_step="Send one of them, or no such header.",
        ) from None
