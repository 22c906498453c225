"""The numbers as Prometheus reads them.

Taken on the event loop, where they change; written down in a thread. prometheus-client is imported
when somebody asks: a server that nobody scrapes does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from noibo.gateway.watching import standing
from noibo.gateway.watching.counts import Labels
from noibo.gateway.watching.metrics import Metrics
from noibo.gateway.watching.standing import EVENTS, EVENTS_SAY, GAUGES

if TYPE_CHECKING:
    from prometheus_client import Metric

    from noibo.gateway.services import Services

# What there is, what it says, and which attribute of `Metrics` it is.
COUNTERS: Final = {
    "noibo_requests": ("Requests that have ended.", "requests"),
    "noibo_errors": ("Requests that ended with an error, by noibo's code for it.", "errors"),
    "noibo_prompt_tokens": ("Tokens of prompts, read or reused.", "prompt_tokens"),
    "noibo_prompt_tokens_cached": ("Those of them that were not read again.", "cached_tokens"),
    "noibo_generated_tokens": ("Tokens written.", "generated_tokens"),
}
HISTOGRAMS: Final = {
    "noibo_request_duration_seconds": ("From a request's arrival to its end.", "duration"),
    "noibo_time_to_first_token_seconds": (
        "From a request's arrival to the first token of its answer.",
        "first_token",
    ),
    "noibo_time_per_output_token_seconds": (
        "Between two tokens of an answer after the first, in the mean.",
        "each_token",
    ),
    "noibo_queue_wait_seconds": ("How long an answer waited for its slot.", "wait"),
    "noibo_request_prompt_tokens": ("Tokens of a prompt.", "prompt_length"),
    "noibo_request_generated_tokens": ("Tokens of an answer.", "answer_length"),
}
Numbers = list[tuple[Labels, float]]
Spreads = list[tuple[Labels, list[tuple[str, float]], float]]


class Snapshot:
    """All numbers of one moment; a collector, as prometheus-client calls what it can ask."""

    def __init__(self, services: Services) -> None:
        self._gauges = list(standing.look(services))
        self._counters = dict(_counters(services.metrics))
        self._counters[EVENTS] = (EVENTS_SAY, ("model", "event"), standing.happened(services))
        self._histograms = dict(_histograms(services.metrics))

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

        for name, (say, labels, numbers) in self._counters.items():
            counter = CounterMetricFamily(name, say, labels=labels)
            for found, value in numbers:
                counter.add_metric(found, value)
            yield counter
        for name, (say, labels, spreads) in self._histograms.items():
            histogram = HistogramMetricFamily(name, say, labels=labels)
            for found, buckets, total in spreads:
                histogram.add_metric(found, buckets, total)
            yield histogram
        for one in self._gauges:
            gauge = GaugeMetricFamily(one.name, GAUGES[one.name], labels=one.labels)
            for found, value in one.values:
                gauge.add_metric(found, value)
            yield gauge

    def describe(self) -> list[Metric]:
        """Nothing: it is registered once, and asked once."""
        return []


def _counters(metrics: Metrics) -> Iterator[tuple[str, tuple[str, tuple[str, ...], Numbers]]]:
    for name, (say, attribute) in COUNTERS.items():
        counter = getattr(metrics, attribute)
        yield name, (say, counter.names, list(counter.values.items()))


def _histograms(metrics: Metrics) -> Iterator[tuple[str, tuple[str, tuple[str, ...], Spreads]]]:
    for name, (say, attribute) in HISTOGRAMS.items():
        kept = getattr(metrics, attribute)
        spreads = [(labels, one.buckets(), one.sum) for labels, one in kept.values.items()]
        yield name, (say, kept.names, spreads)
