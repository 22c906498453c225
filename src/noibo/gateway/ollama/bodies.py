"""Reads the small bodies of requests on models, and the names in them."""

from __future__ import annotations

from typing import Any

from noibo.engines.model_name import LATEST
from noibo.errors import InvalidRequest
from noibo.gateway.services import Services
from noibo.model_settings import USE
from noibo.modelstore.origin import Local, parse, reference_of
from noibo.modelstore.reference import Reference
from noibo.wire.body import Fields, field


def real_name(services: Services, name: str) -> str:
    """What a name means: an alias or a use leads on to a model, and for a virtual one another
    stands in."""
    aliases, uses = services.settings.aliases, services.settings.uses
    name = aliases.get(name, name)
    name = services.virtual.stand_ins.get(name.removesuffix(LATEST), name)
    own = uses.get(name.removeprefix(USE)) if name.startswith(USE) else None
    return name if own is None else aliases.get(own.model, own.model)


def new_name(name: str, param: str) -> Reference:
    """The name of a model that is to be. Raises `BadReference`, `InvalidRequest`."""
    if isinstance(parse(name), Local):
        raise InvalidRequest(f"{param}: {name[:60]!r} is a path, and no name.", param=param)
    return reference_of(name)


def refuse(fields: Fields, reasons: dict[str, str]) -> None:
    """Raise `InvalidRequest` for a field that asks for what is not done here; one that is empty
    asks for nothing."""
    for name, why in reasons.items():
        if field(fields, name, Any):
            raise InvalidRequest(f"{name}: {why}.", param=name)
