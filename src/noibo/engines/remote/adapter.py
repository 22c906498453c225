"""The remote engine: a server that runs already, and that noibo hands requests on to.

It has no process of ours, so it takes no memory, nothing is started and nothing gives way to it.
Requests go to it as they came, and what it cannot do it says itself. One that is not on this
machine is only asked with leave: see `clearance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from noibo import settings
from noibo.engines import line
from noibo.engines.engine import (
    TRUE,
    Fields,
    Launch,
    Model,
    Patience,
    Reach,
    Speed,
    Support,
    Verb,
)
from noibo.engines.memory.size import Need, Size, Use
from noibo.engines.remote.breaker import Breakers
from noibo.engines.remote.dialect import Dialect, OpenAi
from noibo.engines.remote.keys import key_of
from noibo.engines.remote.place import Place
from noibo.engines.worker import BUSY
from noibo.errors import NotSupported
from noibo.model_settings import ModelSettings

USUAL_PARALLEL: Final = 256  # requests at once: how many it answers at once is for it to know
LONGEST_INPUT: Final = 2**31 - 1  # tokens: it says itself when that is too many
_WITH_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')
# What noibo's own APIs ask llama.cpp to tell besides: strict servers refuse what they do not know.
_TOLD_BESIDES: Final = ("timings_per_token", "verbose", "response_fields")


class Remote:
    """Hands requests on. It knows the models of `noibo.toml` that have `engine = "remote"`."""

    name = "remote"
    several = False
    foreign = True
    remedy = ""
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.EMULATED,  # where the server has a call for it
        Verb.CANCEL: Support.NATIVE,  # by leaving: what it makes of that is its own affair
    }

    def __init__(
        self, models: Mapping[str, ModelSettings], breakers: Breakers | None = None
    ) -> None:
        """Raises `SettingsError` for an address that is none."""
        self._models = {name: own for name, own in models.items() if own.engine == self.name}
        self.breakers = breakers or Breakers()
        self._places = {name: Place.of_model(name, own) for name, own in self._models.items()}

    def serving(self, model: Model, verb: Verb) -> Model:
        if self.verbs[verb] is Support.NONE:
            raise NotSupported(
                f"{model.name} is reached at another server, which cannot be asked to "
                f"{verb.value}: its API has no such call.",
                next_step="Ask that server by its own API, or use a model that runs here.",
            )
        return model

    def available(self) -> str:
        return "remote 1"

    def build(self) -> str:
        return self.available()

    @property
    def models(self) -> Sequence[str]:
        """Names of the models that are asked for elsewhere."""
        return list(self._models)

    def _own(self, name: str) -> ModelSettings:
        return self._models[name]

    def place(self, name: str) -> Place:
        """Where a model is."""
        return self._places.get(name) or Place.of_model(name, self._own(name))

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        """One: as many requests at once as are set for the model itself."""
        return [Size(0, self._own(model.name).parallel or USUAL_PARALLEL)]

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        return Need()

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        reach = self.reach(model.name, limits)
        placement = {"url": reach.url, "longest_input": LONGEST_INPUT}
        return Launch("", {}, size, placement=placement, reach=reach)

    def reach(self, name: str, limits: settings.Engine) -> Reach:
        """How a model is got at. Raises `SettingsError` where its key is not to be had."""
        own = self._own(name)
        first_s = own.first_s or BUSY * limits.answer_stall_s
        place, there = self.place(name), own.model or name
        return Reach(
            place,
            key_of(own.api_key),
            there,
            self._dialect(there, own, limits),
            self.breakers.of(place.url),
            Patience(
                line.Waits(own.connect_s or line.CONNECT_S, first_s, own.stall_s or first_s),
                own.retries,
            ),
            own.trusted,
        )

    def _dialect(self, there: str, own: ModelSettings, limits: settings.Engine) -> Dialect:
        return OpenAi(there)

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def constrain(self, fields: Fields, model: Model) -> None:
        """What our own APIs say in llama.cpp's words is said in OpenAI's."""
        schema = fields.pop("json_schema", None)
        if schema is not None:
            named = {"name": "answer", "schema": schema, "strict": True}
            said = {"type": "json_schema", "json_schema": named}
            fields["response_format"] = msgspec.Raw(msgspec.json.encode(said))

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        for name in _TOLD_BESIDES:
            fields.pop(name, None)
        fields["stream"] = TRUE
        fields["stream_options"] = _WITH_USAGE

    def is_progress(self, events: bytes) -> bool:
        return False
