"""How the server stands at the moment that it is asked: workers, queue, memory, work in hand.

Nothing of this is kept for the metrics: it is looked up where it is known.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import noibo
from noibo.engines.worker import State
from noibo.gateway.watching.counts import Labels, Numbers

if TYPE_CHECKING:
    from noibo.gateway.services import Services

# What there is: its labels, and what it says.
_MODEL: Final = ("model", "verb")
GAUGES: Final[dict[str, tuple[Labels, str]]] = {
    "noibo_build_info": (("version",), "The version that runs."),
    "noibo_requests_in_progress": ((), "Requests under way."),
    "noibo_requests_answering": ((), "Requests that have a slot."),
    "noibo_requests_waiting": (
        ("why",),
        "Requests that wait: for a slot (queue), a load, memory.",
    ),
    "noibo_queue_limit": ((), "Requests that may wait (queue.longest)."),
    "noibo_queue_oldest_wait_seconds": ((), "How long the one has waited that waits longest."),
    "noibo_workers": (("state",), "Workers, by where they are in their life."),
    "noibo_worker_slots": (_MODEL, "Answers that a worker can give at the same time."),
    "noibo_worker_slots_busy": (_MODEL, "Answers that it gives."),
    "noibo_worker_memory_bytes": (_MODEL, "Memory that it holds."),
    "noibo_worker_peak_memory_bytes": (_MODEL, "The most that it held since it started."),
    "noibo_worker_predicted_memory_bytes": (_MODEL, "What was expected of it before it started."),
    "noibo_upstreams": (
        ("breaker",),
        "Servers elsewhere that are asked, by their breaker: one that is open is left alone.",
    ),
    "noibo_memory_budget_bytes": ((), "What all workers may hold (memory.budget)."),
    "noibo_memory_held_bytes": ((), "What they hold."),
    "noibo_batches_running": ((), "Batches at work here."),
    "noibo_background_responses_running": ((), "Responses that go on in the background."),
}

_STATES: Final = tuple(state.value for state in State if state not in {State.NEW, State.STOPPED})
_BREAKERS: Final = ("closed", "half-open", "open")
_WAITS: Final = ("queue", "loading", "memory")
_OF_WORKERS: Final = {
    "noibo_worker_slots": "slots",
    "noibo_worker_slots_busy": "leases",
    "noibo_worker_memory_bytes": "held_bytes",
    "noibo_worker_peak_memory_bytes": "peak_bytes",
    "noibo_worker_predicted_memory_bytes": "expected_bytes",
}


def look(services: Services) -> dict[str, Numbers]:
    """All of it, by name. On the event loop, and quick."""
    return {
        "noibo_build_info": [((noibo.__version__,), 1)],
        "noibo_requests_in_progress": _one(services.metrics.under_way),
        "noibo_batches_running": _one(services.batches.running),
        "noibo_background_responses_running": _one(services.backgrounds.running),
        **_queue(services),
        **_workers(services),
        "noibo_upstreams": _upstreams(services),
    }


def happened(services: Services) -> Numbers:
    """What happened to workers since the start, by model and event."""
    sums: Counter[Labels] = Counter()
    for (model, event), count in services.supervisor.happened().items():
        sums[services.metrics.of(model).label, event] += count
    return list(sums.items())


def _workers(services: Services) -> dict[str, Numbers]:
    workers, numbers = services.supervisor.workers(), services.metrics.of
    states = Counter(worker.state.value for worker in workers)
    found: dict[str, Numbers] = {"noibo_workers": [((one,), states[one]) for one in _STATES]}
    for name, value in _OF_WORKERS.items():
        sums: Counter[Labels] = Counter()
        for one in workers:
            sums[numbers(one.model.name).label, one.model.verb.value] += getattr(one, value)
        found[name] = list(sums.items())
    return found


def _upstreams(services: Services) -> Numbers:
    asked = {one.reach.breaker for one in services.supervisor.workers() if one.reach is not None}
    states = Counter(breaker.state for breaker in asked)
    return [((state,), states[state]) for state in _BREAKERS]


def _queue(services: Services) -> dict[str, Numbers]:
    queue = services.supervisor.queue()
    why = Counter(row.why for row in queue.waiting)
    oldest = max((row.waited_s for row in queue.waiting), default=0)
    return {
        "noibo_requests_waiting": [((one,), why[one]) for one in _WAITS],
        "noibo_requests_answering": _one(len(queue.answering)),
        "noibo_queue_limit": _one(queue.longest),
        "noibo_queue_oldest_wait_seconds": _one(oldest),
        "noibo_memory_budget_bytes": _one(queue.budget_bytes),
        "noibo_memory_held_bytes": _one(queue.held_bytes),
    }


def _one(value: float) -> Numbers:
    return [((), value)]
