"""One line for each request that has ended: who asked for what, and what it took. No word of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from noibo import logs
from noibo.gateway.access.identity import Identity
from noibo.gateway.watching import places
from noibo.gateway.watching.record import Record

log = logging.getLogger("noibo.requests")

# Asked again and again by machines: only worth a line when it fails.
_QUIET: Final = frozenset(
    {"/health", "/ready", "/v1/health", "/metrics"}
    | {"/noibo/v1/status", "/noibo/v1/workers", "/noibo/v1/queue"}
)


def write(record: Record) -> None:
    """Say it."""
    quiet = record.route in _QUIET and record.status < 400
    level = logging.DEBUG if quiet else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, Line(record))


@dataclass(frozen=True, slots=True)
class Line(logs.Event):
    """An event as `logs` has it."""

    record: Record

    def facts(self) -> dict[str, Any]:
        """What programs read. Times in milliseconds; what there was not of is left out."""
        one, scope = self.record, self.record.scope
        found: dict[str, Any] = {
            "message": "an answer went on and ended" if one.aside else "a request ended",
            "request_id": one.id,
            "api": places.api_of(one.route),
            "method": places.method_of(scope["method"]),
            "route": one.route,
            "status": one.status,
            "ms": _ms(one.seconds),
            "caller": caller_of(scope),
        }
        if one.model:
            found |= {"model": one.model, "engine": one.engine, "queued_ms": _ms(one.queued_s)}
        if one.prompt or one.generated:
            found |= {
                "tokens_in": one.prompt,
                "tokens_cached": one.reused,
                "tokens_out": one.generated,
            }
        if one.first_s is not None:
            found["first_token_ms"] = _ms(one.first_s)
        found |= {name: said for name in ("error", "trace_id") if (said := getattr(one, name))}
        return found

    def __str__(self) -> str:
        one, scope = self.record, self.record.scope
        later = " later" if one.aside else ""
        said = (
            f"{places.method_of(scope['method'])} {one.route} {one.status}{later}, "
            f"{one.seconds * 1000:.1f} ms"
        )
        if one.model:
            said += f", {one.model} by {one.engine}"
        if one.prompt or one.generated:
            said += f", tokens {one.prompt} in ({one.reused} cached) {one.generated} out"
        if one.first_s is not None:
            said += f", first after {one.first_s * 1000:.1f} ms"
        if (queued := one.queued_s) >= 0.001:
            said += f", queued {queued * 1000:.1f} ms"
        if one.error:
            said += f", {one.error}"
        return f"{said}, for {caller_of(scope)} ({one.id})"


def caller_of(scope: Any) -> str:
    """Who asked, as the doorman found: a key's id, a user; else from where."""
    if Identity.known(scope):
        return Identity.of(scope).name
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
