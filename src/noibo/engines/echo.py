"""The echo engine: a real worker process that answers without a model.

For tests and demos. It says back what was said to it, word by word, with delays and failures on
request: in the model's options, or for one request in its body's `x_echo` object (see
`echo_process`). Nothing else in noibo knows that it is not a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.memory.size import USUAL_SLOTS, Need, Size, Use
from noibo.errors import NotSupported


class Echo:
    """Answers with the caller's own words."""

    name = "echo"
    several = False
    foreign = False
    remedy = ""
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NONE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def serving(self, model: Model, verb: Verb) -> Model:
        if self.verbs[verb] is Support.NONE:
            raise NotSupported(f"The engine {self.name} cannot {verb.value}.")
        return model

    def available(self) -> str:
        return "echo 1"

    def build(self) -> str:
        return self.available()

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        most = limits.parallel or USUAL_SLOTS
        return [Size(0, slots) for slots in range(most, 0, -1)]

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        """`need_mib` of the model's options, for each slot `slot_mib` more."""
        option = model.options.get
        return Need(
            weights=option("need_mib", 40) << 20, kv=size.parallel * option("slot_mib", 0) << 20
        )

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        config = {"alias": model.name, "parallel": size.parallel, **model.options}
        need = self.need(model, size, limits)
        return Launch(
            "noibo.engines.echo_process", config, size, need, placement={"device": "none"}
        )

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def constrain(self, fields: Fields, model: Model) -> None:
        pass

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return False
