"""How the server stands at the moment that it is asked: workers, queue, memory, work in hand.

Nothing of this is kept for the metrics: it is looked up where it is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import noibo
from noibo.engines.worker import State
from noibo.gateway.services import Services
from noibo.gateway.watching.counts import Labels
from noibo.gateway.watching.metrics import Metrics

_STATES: Final = tuple(state.value for state in State if state not in {State.NEW, State.STOPPED})
_WAITS: Final = ("queue", "loading", "memory")


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric with its values now. `grows`: it is counted from the start on."""

    name: str
    help: str
    labels: tuple[str, ...]
    values: Iterable[tuple[Labels, float]]
    grows: bool = False


def look(services: Services) -> Iterator[Gauge]:
    """All of it. On the event loop, and quick."""
    yield Gauge(
        "noibo_build_info", "The version that runs.", ("version",), [((noibo.__version__,), 1)]
    )
    yield _one("noibo_requests_in_progress", "Requests under way.", services.metrics.under_way)
    yield from _workers(services)
    yield from _queue(services)
    yield _one("noibo_batches_running", "Batches at work here.", services.batches.running)
    yield _one(
        "noibo_background_responses_running",
        "Responses that go on in the background.",
        services.backgrounds.running,
    )


def _workers(services: Services) -> Iterator[Gauge]:
    workers, name = services.supervisor.workers(), services.metrics.label
    states = Counter(worker.state.value for worker in workers)
    yield Gauge(
        "noibo_workers",
        "Workers, by where they are in their life.",
        ("state",),
        [((state,), states[state]) for state in _STATES],
    )
    about = ("model", "verb")

    def each(what: str, say: str, value: str) -> Gauge:
        found: Counter[Labels] = Counter()
        for one in workers:
            found[name(one.model.name), one.model.verb.value] += getattr(one, value)
        return Gauge(f"noibo_worker_{what}", say, about, list(found.items()))

    yield each("memory_bytes", "Memory that a model's worker holds.", "held_bytes")
    yield each("peak_memory_bytes", "The most that it held since it started.", "peak_bytes")
    yield each("predicted_memory_bytes", "What was expected before it started.", "expected_bytes")
    yield each("slots", "Answers that it can give at the same time.", "slots")
    yield each("slots_busy", "Answers that it gives.", "leases")
    yield Gauge(
        "noibo_worker_events",
        "What happened to workers: started, start_failed, died, evicted, unloaded.",
        ("model", "event"),
        _by_label(services.metrics, services.supervisor.happened().items()),
        grows=True,
    )


def _by_label(
    metrics: Metrics, found: Iterable[tuple[tuple[str, str], int]]
) -> list[tuple[Labels, float]]:
    """Sums by bounded names of models."""
    sums: Counter[Labels] = Counter()
    for (model, event), count in found:
        sums[metrics.label(model), event] += count
    return list(sums.items())


def _queue(services: Services) -> Iterator[Gauge]:
    queue = services.supervisor.queue()
    why = Counter(row.why for row in queue.waiting)
    yield Gauge(
        "noibo_requests_waiting",
        "Requests that wait: for a slot, for their model to load, for memory.",
        ("why",),
        [((one,), why[one]) for one in _WAITS],
    )
    yield _one("noibo_requests_answering", "Requests that have a slot.", len(queue.answering))
    yield _one("noibo_queue_limit", "Requests that may wait (queue.longest).", queue.longest)
    yield _one(
        "noibo_queue_oldest_wait_seconds",
        "How long the one has waited that waits longest.",
        max((row.waited_s for row in queue.waiting), default=0),
    )
    yield _one("noibo_memory_budget_bytes", "What workers may hold in all.", queue.budget_bytes)
    yield _one("noibo_memory_held_bytes", "What they hold in all.", queue.held_bytes)


def _one(name: str, say: str, value: float) -> Gauge:
    return Gauge(name, say, (), [((), value)])
