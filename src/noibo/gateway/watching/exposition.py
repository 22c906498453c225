"""The numbers as Prometheus reads them.

Taken on the event loop, where they change; written down in a thread. prometheus-client is imported
when somebody asks: a server that nobody scrapes does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from noibo.gateway.services import Services
from noibo.gateway.watching import standing
from noibo.gateway.watching.counts import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client import Metric

# Of the attributes of `Metrics`: under which name, and what they are.
_COUNTERS: Final = {
    "requests": ("noibo_requests", "Requests that have ended."),
    "errors": ("noibo_errors", "Requests that ended with an error, by noibo's code for it."),
    "prompt_tokens": ("noibo_prompt_tokens", "Tokens of prompts, read or reused."),
    "cached_tokens": (
        "noibo_prompt_tokens_cached",
        "Those of them that were reused and not read again.",
    ),
    "generated_tokens": ("noibo_generated_tokens", "Tokens written."),
}
_HISTOGRAMS: Final = {
    "duration": ("noibo_request_duration_seconds", "From a request's arrival to its end."),
    "first_token": (
        "noibo_time_to_first_token_seconds",
        "From a request's arrival to the first token of its answer.",
    ),
    "each_token": (
        "noibo_time_per_output_token_seconds",
        "Between two tokens of an answer, in the mean, after the first.",
    ),
    "wait": ("noibo_queue_wait_seconds", "How long an answer waited for its slot."),
    "prompt_length": ("noibo_request_prompt_tokens", "Tokens of a prompt."),
    "answer_length": ("noibo_request_generated_tokens", "Tokens of an answer."),
}


class Snapshot:
    """All numbers of one moment; a collector, as prometheus-client calls what it can ask."""

    def __init__(self, services: Services) -> None:
        metrics = services.metrics
        self._gauges = list(standing.look(services))
        self._counters = [
            (*said, *_copied(getattr(metrics, name))) for name, said in _COUNTERS.items()
        ]
        self._histograms = [
            (*said, *_spread(getattr(metrics, name))) for name, said in _HISTOGRAMS.items()
        ]

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

        for name, say, labels, values in self._counters:
            counter = CounterMetricFamily(name, say, labels=labels)
            for found, value in values:
                counter.add_metric(found, value)
            yield counter
        for name, say, labels, spreads in self._histograms:
            histogram = HistogramMetricFamily(name, say, labels=labels)
            for found, buckets, total in spreads:
                histogram.add_metric(found, buckets, total)
            yield histogram
        for gauge in self._gauges:
            family = CounterMetricFamily if gauge.grows else GaugeMetricFamily
            made = family(gauge.name, gauge.help, labels=gauge.labels)
            for found, value in gauge.values:
                made.add_metric(found, value)
            yield made

    def describe(self) -> list[Metric]:
        """Nothing: it is registered once, and asked once."""
        return []


def _copied(counter: Counter) -> tuple[Any, Any]:
    return counter.names, list(counter.values.items())


def _spread(histogram: Histogram) -> tuple[Any, Any]:
    found = [(labels, one.buckets(), one.sum) for labels, one in histogram.values.items()]
    return histogram.names, found
