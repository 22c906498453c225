"""How the server stands at the moment that it is asked: workers, queue, memory, work in hand.

Nothing of this is kept for the metrics: it is looked up where it is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import noibo
from noibo.engines.worker import State
from noibo.gateway.watching.counts import Labels

if TYPE_CHECKING:
    from noibo.gateway.services import Services

# What there is, and what it says.
GAUGES: Final = {
    "noibo_build_info": "The version that runs.",
    "noibo_requests_in_progress": "Requests under way.",
    "noibo_requests_answering": "Requests that have a slot.",
    "noibo_requests_waiting": "Requests that wait: for a slot (queue), a load, memory.",
    "noibo_queue_limit": "Requests that may wait (queue.longest).",
    "noibo_queue_oldest_wait_seconds": "How long the one has waited that waits longest.",
    "noibo_workers": "Workers, by where they are in their life.",
    "noibo_worker_slots": "Answers that a worker can give at the same time.",
    "noibo_worker_slots_busy": "Answers that it gives.",
    "noibo_worker_memory_bytes": "Memory that it holds.",
    "noibo_worker_peak_memory_bytes": "The most that it held since it started.",
    "noibo_worker_predicted_memory_bytes": "What was expected of it before it started.",
    "noibo_memory_budget_bytes": "What all workers may hold (memory.budget).",
    "noibo_memory_held_bytes": "What they hold.",
    "noibo_batches_running": "Batches at work here.",
    "noibo_background_responses_running": "Responses that go on in the background.",
}

_STATES: Final = tuple(state.value for state in State if state not in {State.NEW, State.STOPPED})
_WAITS: Final = ("queue", "loading", "memory")
_OF_WORKERS: Final = {
    "noibo_worker_slots": "slots",
    "noibo_worker_slots_busy": "leases",
    "noibo_worker_memory_bytes": "held_bytes",
    "noibo_worker_peak_memory_bytes": "peak_bytes",
    "noibo_worker_predicted_memory_bytes": "expected_bytes",
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """The values of one metric now."""

    name: str
    labels: tuple[str, ...]
    values: Iterable[tuple[Labels, float]]

    @classmethod
    def one(cls, name: str, value: float) -> Gauge:
        """A number by itself."""
        return cls(name, (), [((), value)])


def look(services: Services) -> Iterator[Gauge]:
    """All of it. On the event loop, and quick."""
    yield Gauge("noibo_build_info", ("version",), [((noibo.__version__,), 1)])
    yield Gauge.one("noibo_requests_in_progress", services.metrics.under_way)
    yield from _queue(services)
    yield from _workers(services)
    yield Gauge.one("noibo_batches_running", services.batches.running)
    yield Gauge.one("noibo_background_responses_running", services.backgrounds.running)


def happened(services: Services) -> list[tuple[Labels, float]]:
    """What happened to workers since the start, by model and event."""
    sums: Counter[Labels] = Counter()
    for (model, event), count in services.supervisor.happened().items():
        sums[services.metrics.of(model).label, event] += count
    return list(sums.items())


def _workers(services: Services) -> Iterator[Gauge]:
    workers, numbers = services.supervisor.workers(), services.metrics.of
    states = Counter(worker.state.value for worker in workers)
    yield Gauge("noibo_workers", ("state",), [((state,), states[state]) for state in _STATES])
    for name, value in _OF_WORKERS.items():
        found: Counter[Labels] = Counter()
        for one in workers:
            found[numbers(one.model.name).label, one.model.verb.value] += getattr(one, value)
        yield Gauge(name, ("model", "verb"), list(found.items()))


def _queue(services: Services) -> Iterator[Gauge]:
    queue = services.supervisor.queue()
    why = Counter(row.why for row in queue.waiting)
    oldest = max((row.waited_s for row in queue.waiting), default=0)
    yield Gauge("noibo_requests_waiting", ("why",), [((one,), why[one]) for one in _WAITS])
    yield Gauge.one("noibo_requests_answering", len(queue.answering))
    yield Gauge.one("noibo_queue_limit", queue.longest)
    yield Gauge.one("noibo_queue_oldest_wait_seconds", oldest)
    yield Gauge.one("noibo_memory_budget_bytes", queue.budget_bytes)
    yield Gauge.one("noibo_memory_held_bytes", queue.held_bytes)
