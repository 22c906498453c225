"""What is counted of requests and of answers, from the start of the server on.

Labels are bounded whatever is sent: a route is the route's template, a model is one that is here,
by its real name, and of more than `MOST_MODELS` the rest is `other`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from noibo.gateway.watching import places
from noibo.gateway.watching.counts import Labels, Numbers, Spread, Spreads

OTHER: Final = "other"
MOST_MODELS: Final = 100
MOST_SERIES: Final = 5000
NO_MODEL: Final = ""
LEAST_PACE: Final = 3  # answers, before anything is said of a model's pace

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


class ModelNumbers:
    """What one model did. `reused`: tokens of prompts that were not read again."""

    __slots__ = (
        "answer_length",
        "each_token",
        "first_token",
        "generated",
        "label",
        "prompt",
        "prompt_length",
        "reused",
        "wait",
    )

    def __init__(self, label: str) -> None:
        self.label = label
        self.prompt = self.reused = self.generated = 0
        self.wait, self.first_token, self.each_token = Spread(_WAIT), Spread(_FIRST), Spread(_EACH)
        self.prompt_length, self.answer_length = Spread(_TOKENS), Spread(_TOKENS)

    def read(self, prompt: int, reused: int) -> None:
        """It has read a prompt."""
        self.prompt += prompt
        self.reused += reused


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.under_way = 0
        self._models: dict[str, ModelNumbers] = {}
        self._requests: dict[Labels, int] = {}
        self._durations: dict[str, Spread] = {}
        self._errors: defaultdict[Labels, int] = defaultdict(int)

    def of(self, model: str) -> ModelNumbers:
        """The numbers of a model, which is one that is here."""
        if (found := self._models.get(model)) is not None:
            return found
        if len(self._models) >= MOST_MODELS:
            model = OTHER
        return self._models.setdefault(model, ModelNumbers(model))

    def pace(self, model: str) -> tuple[float, float] | None:
        """Seconds to the first token of a model's answers, and between two tokens after it, in the
        mean; None where too few were measured."""
        found = self._models.get(model)
        if found is None:
            return None
        first, each = found.first_token, found.each_token
        counts = sum(first.counts), sum(each.counts)
        if min(counts) < LEAST_PACE or each.sum <= 0:
            return None
        return first.sum / counts[0], each.sum / counts[1]

    def ended(self, route: str, method: str, model: str, status: int, seconds: float) -> None:
        """A request has ended. `model` as a label has it."""
        key = (route, method, model, str(status))
        if key not in self._requests:
            if len(self._requests) >= MOST_SERIES and model:
                key = (route, method, OTHER, str(status))
            self._requests.setdefault(key, 0)
        self._requests[key] += 1
        if (spread := self._durations.get(route)) is None:
            spread = self._durations[route] = Spread(_DURATION)
        spread.see(seconds)

    def failed(self, code: str, status: int) -> None:
        """A request ended with an error."""
        self._errors[code, str(status)] += 1

    # ── what is asked for ───────────────────────────────────────────────────

    def requests(self) -> Numbers:
        """By api, route, method, model, status."""
        return [((places.api_of(key[0]), *key), count) for key, count in self._requests.items()]

    def durations(self) -> Spreads:
        """By api, route."""
        return [((places.api_of(route), route), one) for route, one in self._durations.items()]

    def errors(self) -> Numbers:
        """By code, status."""
        return list(self._errors.items())

    def models(self) -> list[ModelNumbers]:
        """Of each model that was asked anything."""
        return list(self._models.values())
