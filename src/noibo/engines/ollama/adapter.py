"""The ollama engine: the models of an Ollama that runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from noibo import settings
from noibo.engines.engine import Support, Verb
from noibo.engines.ollama.dialect import Ollama as Dialect
from noibo.engines.remote.adapter import Remote
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

    def available(self) -> str:
        return "ollama, by its own API"

    def _own(self, name: str) -> ModelSettings:
        return self._models.get(name, _ANY)

    def _dialect(self, there: str, own: ModelSettings, limits: settings.Engine) -> Dialect:
        return Dialect(there, limits.ctx_size)
