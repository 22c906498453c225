"""The echo engine: a real worker process that answers without a model.

For tests and demos. It says back what was said to it, word by word, with delays and failures on
request: in the model's options, or for one request in its body's `x_echo` object (see
`echo_process`). Nothing else in noibo knows that it is not a model.
"""

from __future__ import annotations

from collections.abc import Mapping

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb


class Echo:
    """Answers with the caller's own words."""

    name = "echo"
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NONE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def available(self) -> str:
        return "echo 1"

    def launch(self, model: Model, limits: settings.Engine, speed: Speed) -> Launch:
        config = {"alias": model.name, "parallel": limits.parallel, **model.options}
        return Launch("noibo.engines.echo_process", config, {"device": "none"})

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return False
