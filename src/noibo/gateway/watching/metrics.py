"""What is counted of requests and of answers, from the start of the server on.

Labels are bounded whatever is sent: a route is the route's template, a model is one that is here,
by its real name, and of more than `MOST_MODELS` the rest is `other`.
"""

from __future__ import annotations

from typing import Final

from noibo.gateway.watching.counts import OTHER, Counter, Histogram

MOST_MODELS: Final = 100
MOST_SERIES: Final = 5000
NONE: Final = ""  # no model was come to

_DURATION: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    *(5, 10, 20, 40, 80, 160, 320, 640),
)
_FIRST: Final = (
    *(0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1),
    *(2.5, 5, 7.5, 10, 20, 40, 80, 160, 320),
)
_EACH: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5)
_WAIT: Final = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_TOKENS: Final = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.requests = Counter("api", "route", "method", "model", "status", most=MOST_SERIES)
        self.errors = Counter("code", "status", most=MOST_SERIES)
        self.duration = Histogram(_DURATION, "api", "route")
        self.first_token = Histogram(_FIRST, "model")
        self.each_token = Histogram(_EACH, "model")
        self.wait = Histogram(_WAIT, "model")
        self.prompt_length = Histogram(_TOKENS, "model")
        self.answer_length = Histogram(_TOKENS, "model")
        self.prompt_tokens = Counter("model", most=MOST_SERIES)
        self.cached_tokens = Counter("model", most=MOST_SERIES)
        self.generated_tokens = Counter("model", most=MOST_SERIES)
        self.under_way = 0
        self._models: set[str] = set()

    def label(self, model: str) -> str:
        """A model's name as it stands in labels."""
        if model in self._models:
            return model
        if len(self._models) >= MOST_MODELS:
            return OTHER
        self._models.add(model)
        return model

    def read(self, model: str, prompt: int, reused: int = 0) -> None:
        """A model has read so many tokens of a prompt; `reused` of them out of what it had kept."""
        self.prompt_tokens.add(model, by=prompt)
        self.cached_tokens.add(model, by=reused)
