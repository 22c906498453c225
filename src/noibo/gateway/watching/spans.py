"""A span for each request to a model, by OpenTelemetry's conventions for GenAI. No word of it.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/

Made when the request has ended, out of its record: on its way nothing is done for it. They are sent
from a thread, some at a time, in OTLP over HTTP. What the collector does not take is dropped, and
that is said once a minute. OpenTelemetry's own exporter is not used: it would choose its way
outward by the environment, past the door.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import noibo
from noibo.errors import NoiboError
from noibo.gateway.watching import places
from noibo.gateway.watching.record import Record

log = logging.getLogger(__name__)

_PARENT: Final = b"traceparent"
# W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_EVERY_MS: Final = 5000
_TAKES_S: Final = 10.0
_SAID_EVERY_S: Final = 60.0
_OPERATIONS: Final = {
    "/chat/completions": "chat",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/responses": "chat",
    "/v1/messages": "chat",
    "/api/chat": "chat",
    "/v1/completions": "text_completion",
    "/completions": "text_completion",
    "/completion": "text_completion",
    "/infill": "text_completion",
    "/api/generate": "text_completion",
    "/v1/embeddings": "embeddings",
    "/embeddings": "embeddings",
    "/embedding": "embeddings",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
}


class Spans:
    """Makes spans of records, and sends them."""

    def __init__(self, exporter: SpanExporter) -> None:
        about = {"service.name": "noibo", "service.version": noibo.__version__}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("noibo", noibo.__version__)

    def tell(self, record: Record) -> None:
        """A request has ended. Its record is told the trace that it is in."""
        operation = _OPERATIONS.get(record.route)
        if operation is None:
            return
        began = int(record.at * 1e9)
        span = self._tracer.start_span(
            f"{operation} {record.model}".rstrip(),
            context=_parent(record.scope["headers"]),
            kind=SpanKind.SERVER,
            attributes=_attributes(record, operation),
            start_time=began,
        )
        if record.error or record.status >= 400:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + int(record.seconds * 1e9))
        record.trace_id = f"{span.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send what there is, and end. Blocks for some seconds at most."""
        self._provider.shutdown()


class DoorExporter(SpanExporter):
    """Posts spans to a collector through an HTTP client, which keeps to what it may reach."""

    def __init__(self, client: httpx2.Client, url: str) -> None:
        self._client = client
        self._url = url
        self._said_at = -_SAID_EVERY_S

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them. Called in a thread."""
        body = encode_spans(spans).SerializeToString()
        try:
            answer = self._client.post(
                self._url,
                content=body,
                headers={"Content-Type": "application/x-protobuf"},
                timeout=_TAKES_S,
            )
        except (httpx2.HTTPError, OSError, NoiboError) as exc:
            return self._dropped(len(spans), type(exc).__name__)
        if answer.is_success:
            return SpanExportResult.SUCCESS
        return self._dropped(len(spans), f"it answered {answer.status_code}")

    def shutdown(self) -> None:
        """Nothing more comes."""
        self._client.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return True

    def _dropped(self, count: int, why: str) -> SpanExportResult:
        now = time.monotonic()
        if now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            log.warning("%d spans were not taken by the collector: %s", count, why)
        return SpanExportResult.FAILURE


def _attributes(record: Record, operation: str) -> Mapping[str, Any]:
    server = record.scope.get("server") or ("", None)
    found = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": record.engine,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.model,
        "http.request.method": places.method_of(record.scope["method"]),
        "http.route": record.route,
        "http.response.status_code": record.status,
        "server.address": server[0],
        "server.port": server[1],
        "error.type": record.error or (str(record.status) if record.status >= 400 else ""),
        "noibo.request_id": record.id,
    }
    if record.prompt or record.generated:
        found |= {
            "gen_ai.usage.input_tokens": record.prompt,
            "gen_ai.usage.output_tokens": record.generated,
            "gen_ai.usage.cache_read.input_tokens": record.reused,
        }
    if record.first_s is not None:
        found |= {
            "noibo.time_to_first_token": round(record.first_s, 6),
            "noibo.queue_wait": round(record.queued_s, 6),
        }
    return {name: value for name, value in found.items() if value not in ("", None)}


def _parent(headers: Sequence[tuple[bytes, bytes]]) -> Any:
    """The context that the caller's header names; None without one that can be read."""
    said = next((value for name, value in headers if name == _PARENT), b"")
    if (found := _TRACEPARENT.fullmatch(said)) is None:
        return None
    trace, span, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags & 1))
    return set_span_in_context(NonRecordingSpan(context)) if context.is_valid else None
