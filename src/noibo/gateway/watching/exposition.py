"""The numbers as Prometheus reads them.

Taken on the event loop, where they change; written down in a thread. prometheus-client is imported
when somebody asks: a server that nobody scrapes does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from noibo.gateway.watching import standing
from noibo.gateway.watching.counts import Labels, Numbers, Spread, Spreads
from noibo.gateway.watching.metrics import Metrics
from noibo.gateway.watching.standing import GAUGES

if TYPE_CHECKING:
    from prometheus_client import Metric

    from noibo.gateway.services import Services

REQUESTS: Final = "noibo_requests"
ERRORS: Final = "noibo_errors"
EVENTS: Final = "noibo_worker_events"
DURATION: Final = "noibo_request_duration_seconds"

# What there is: its labels, and what it says.
COUNTERS: Final[dict[str, tuple[Labels, str]]] = {
    REQUESTS: (("api", "route", "method", "model", "status"), "Requests that have ended."),
    ERRORS: (("code", "status"), "Requests that ended with an error, by noibo's code for it."),
    "noibo_prompt_tokens": (("model",), "Tokens of prompts, read or reused."),
    "noibo_prompt_tokens_cached": (("model",), "Those of them that were not read again."),
    "noibo_generated_tokens": (("model",), "Tokens written."),
    EVENTS: (
        ("model", "event"),
        "What happened to workers: started, start_failed, died, evicted, unloaded.",
    ),
}
HISTOGRAMS: Final[dict[str, tuple[Labels, str]]] = {
    DURATION: (("api", "route"), "From a request's arrival to its end."),
    "noibo_time_to_first_token_seconds": (
        ("model",),
        "From a request's arrival to the first token of its answer.",
    ),
    "noibo_time_per_output_token_seconds": (
        ("model",),
        "Between two tokens of an answer after the first, in the mean.",
    ),
    "noibo_queue_wait_seconds": (("model",), "How long an answer waited for its slot."),
    "noibo_request_prompt_tokens": (("model",), "Tokens of a prompt."),
    "noibo_request_generated_tokens": (("model",), "Tokens of an answer."),
}
# Of a model's numbers, by attribute.
_TOKENS: Final = {
    "noibo_prompt_tokens": "prompt",
    "noibo_prompt_tokens_cached": "reused",
    "noibo_generated_tokens": "generated",
}
_SPREADS: Final = {
    "noibo_time_to_first_token_seconds": "first_token",
    "noibo_time_per_output_token_seconds": "each_token",
    "noibo_queue_wait_seconds": "wait",
    "noibo_request_prompt_tokens": "prompt_length",
    "noibo_request_generated_tokens": "answer_length",
}


class Snapshot:
    """All numbers of one moment; a collector, as prometheus-client calls what it can ask."""

    def __init__(self, services: Services) -> None:
        metrics = services.metrics
        self._gauges = standing.look(services)
        self._counters = _counters(metrics) | {EVENTS: standing.happened(services)}
        self._histograms = {name: _told(found) for name, found in _histograms(metrics).items()}

    def written(self, accept: str) -> tuple[bytes, str]:
        """The document in the form that `accept` wants, and its type. Reads `/proc`."""
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        encode, kind = choose_encoder(accept)
        return encode(registry), kind

    def collect(self) -> Iterator[Metric]:
        """As prometheus-client wants to have it."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for name, (labels, say) in COUNTERS.items():
            counter = CounterMetricFamily(name, say, labels=labels)
            for found, value in self._counters[name]:
                counter.add_metric(found, value)
            yield counter
        for name, (labels, say) in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, say, labels=labels)
            for found, buckets, total in self._histograms[name]:
                histogram.add_metric(found, buckets, total)
            yield histogram
        for name, (labels, say) in GAUGES.items():
            gauge = GaugeMetricFamily(name, say, labels=labels)
            for found, value in self._gauges[name]:
                gauge.add_metric(found, value)
            yield gauge

    def describe(self) -> list[Metric]:
        """Nothing: it is registered once, and asked once."""
        return []


def _counters(metrics: Metrics) -> dict[str, Numbers]:
    models = metrics.models()
    tokens: dict[str, Numbers] = {
        name: [((one.label,), getattr(one, attribute)) for one in models]
        for name, attribute in _TOKENS.items()
    }
    return {REQUESTS: metrics.requests(), ERRORS: metrics.errors()} | tokens


def _histograms(metrics: Metrics) -> dict[str, Spreads]:
    models = metrics.models()
    of_models: dict[str, Spreads] = {
        name: [((one.label,), getattr(one, attribute)) for one in models]
        for name, attribute in _SPREADS.items()
    }
    return {DURATION: metrics.durations()} | of_models


def _told(
    found: list[tuple[Labels, Spread]],
) -> list[tuple[Labels, list[tuple[str, float]], float]]:
    """Copied, since it goes on changing."""
    return [(labels, one.buckets(), one.sum) for labels, one in found]
