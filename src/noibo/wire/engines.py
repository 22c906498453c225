"""The shapes of `/noibo/v1/engines`: what runs models here, and where else models are asked for."""

from __future__ import annotations

import msgspec


class EngineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One engine. `version` is empty where it is not installed, and `install` then says what to do.
    `verbs`: how well it does each (native, emulated, none). `devices`: GPUs that it can use."""

    name: str
    version: str
    install: str
    verbs: dict[str, str]
    devices: list[str]


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A program that is asked for models. `said`: what it says of itself, or why it does not
    answer. `breaker`: closed, open (it is left alone for now), half-open; empty: nobody asks."""

    engine: str
    url: str
    models: list[str]
    answers: bool
    said: str
    breaker: str


class UseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a use is for. `problem`: why it cannot be asked for; empty: it can."""

    use: str
    model: str
    engine: str
    problem: str


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `default`: the engine of GGUF models."""

    default: str
    engines: list[EngineRow]
    places: list[PlaceRow]
    uses: list[UseRow]
