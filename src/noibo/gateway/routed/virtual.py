"""The virtual models of one server, and what is remembered for them: which model answered a
conversation last, and how often models elsewhere were asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from noibo.engines.model_name import LATEST
from noibo.engines.remote.place import Place
from noibo.routing.api_calls import ApiCalls
from noibo.routing.stickiness import Conversations
from noibo.routing.virtual import VirtualModel, is_local, virtual_models
from noibo.settings import Settings


@dataclass(frozen=True, slots=True)
class Virtual:
    """By name. `choosing`: those where there is anything to choose; of the others the one candidate
    is asked, as by an alias. `stand_ins`: see there."""

    models: Mapping[str, VirtualModel]
    choosing: Mapping[str, VirtualModel]
    names: tuple[bytes, ...]
    default: bool
    stand_ins: Mapping[str, str]
    conversations: Conversations = field(default_factory=Conversations)
    calls: Mapping[str, ApiCalls] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Virtual:
        """Raises `SettingsError`."""
        models = virtual_models(settings)
        choosing = {name: one for name, one in models.items() if _chooses(one)}
        aliases = [name for name, one in settings.aliases.items() if one in choosing]
        return cls(
            models,
            choosing,
            tuple(name.encode() for name in (*choosing, *aliases)),
            settings.default_model in choosing,
            stand_ins(settings),
            calls={
                name: ApiCalls(one.strategy.limits.max_api_calls_per_hour, time.monotonic)
                for name, one in choosing.items()
            },
        )

    def may_be_asked(self, body: bytes) -> bool:
        """Whether a body can name one of them: a glance, that costs nothing."""
        return self.default or any(name in body for name in self.names)


def meant(settings: Settings, said: str) -> str:
    """The name that a request means which says this one, or none."""
    name = said or settings.default_model
    return settings.aliases.get(name, name).removesuffix(LATEST)


def stand_ins(settings: Settings) -> dict[str, str]:
    """For each virtual model the candidate that is asked where nothing is to choose: its tokens
    counted, its card shown. The first that is not elsewhere, if there is one."""
    found = {}
    for name, one in virtual_models(settings).items():
        here = [each for each in one.candidates if not _leaves(settings, each)]
        if candidates := here or list(one.candidates):
            found[name] = candidates[0]
    return found


def _leaves(settings: Settings, name: str) -> bool:
    own = settings.models.get(settings.aliases.get(name, name))
    if own is None or not own.elsewhere:
        return False
    return not is_local(own, outside=Place.of_model(name, own).outside)


def _chooses(one: VirtualModel) -> bool:
    return len(one.candidates) > 1
