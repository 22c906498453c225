"""What is done with a request that has ended: it is counted, traced, and written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from noibo.gateway.watching import places, request_log
from noibo.gateway.watching.metrics import Metrics
from noibo.gateway.watching.record import LEFT, Record

if TYPE_CHECKING:
    from noibo.gateway.watching.spans import Spans


def told_to(metrics: Metrics, spans: Spans | None) -> Callable[[Record], None]:
    """Who is told of each record. Spans come before the line, which names their trace."""

    def tell(record: Record) -> None:
        if record.left or not record.status:
            record.status = LEFT
        if not record.aside:
            _count(metrics, record)
        if spans is not None:
            spans.tell(record)
        request_log.write(record)

    return tell


def _count(metrics: Metrics, record: Record) -> None:
    method = places.method_of(record.scope["method"])
    metrics.ended(record.route, method, record.label, record.status, record.seconds)
    if record.error:
        metrics.failed(record.error, record.status)
