"""The way to the collector of spans, where one is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noibo.egress import Destination, Door, Purpose, is_loopback, require_loopback
from noibo.errors import SettingsError

if TYPE_CHECKING:
    from noibo.gateway.watching.spans import Spans

_PATH = "/v1/traces"  # OTLP's, below the endpoint


def open_spans(endpoint: str, door: Door) -> Spans | None:
    """What sends spans to the collector at `endpoint`; None where there is none. Raises
    `SettingsError` where it cannot be, `EgressRefused` where it may not."""
    if not endpoint:
        return None
    destination = Destination.of(endpoint)
    try:
        from noibo.gateway.watching.spans import DoorExporter, Spans
    except ImportError as exc:
        raise SettingsError(
            f"telemetry.otlp_endpoint is set, and {exc.name} is not installed.",
            next_step='Type `pip install "noibo[otel]"`, or set telemetry.otlp_endpoint = "".',
        ) from exc
    import httpx2

    from noibo import guarded

    transport = httpx2.HTTPTransport(trust_env=False)
    url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
    if is_loopback(url):
        client = httpx2.Client(transport=transport, trust_env=False)
        return Spans(DoorExporter(client, require_loopback(url)))
    passed = door.open(Purpose.TELEMETRY, [destination])
    return Spans(DoorExporter(guarded.client(passed, transport), url))
