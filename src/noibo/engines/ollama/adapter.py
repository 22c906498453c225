"""The ollama engine: the models of an Ollama that runs on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from noibo import settings
from noibo.engines.engine import Support, Verb
from noibo.engines.ollama.dialect import Ollama as Dialect
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.breaker import Breakers
from noibo.model_settings import OLLAMAS_PLACE, ModelSettings

_ANY: Final = ModelSettings(engine="ollama", base_url=OLLAMAS_PLACE)


class Ollama(Remote):
    """Knows the models of `noibo.toml` that have `engine = "ollama"`, and those that a use names:
    Ollama is where it always is."""

    name = "ollama"
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NONE,
        Verb.CANCEL: Support.NATIVE,
    }

    def __init__(
        self, models: Mapping[str, ModelSettings], breakers: Breakers | None = None
    ) -> None:
        super().__init__(models, breakers)
        self._others = {  # that a use has run here: the context that is set holds here too
            name: dataclasses.replace(_ANY, ctx_size=own.ctx_size)
            for name, own in models.items()
            if name not in self._models
        }

    def available(self) -> str:
        return "ollama, by its own API"

    def _own(self, name: str) -> ModelSettings:
        return self._models.get(name) or self._others.get(name, _ANY)

    def _dialect(self, there: str, own: ModelSettings, limits: settings.Engine) -> Dialect:
        return Dialect(there, own.ctx_size)
