"""Who says which label of a request: its caller, whose key or user it is, and the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from noibo.gateway.access.identity import now
from noibo.gateway.watching.record import Record
from noibo.privacy.judgement import (
    HEADER,
    HISTORY,
    KEY,
    LABEL,
    MODEL,
    USER,
    Judgement,
    Reason,
    said_by_caller,
)
from noibo.privacy.policy import Policy
from noibo.privacy.walk import OWN
from noibo.settings import Settings

_HEADER: Final = HEADER.lower().encode()


def said_of(record: Record, settings: Settings, model: str) -> list[Reason]:
    """All labels that are said of what a request asks of a model."""
    own = {OWN: record.own} if record.own is not None else {}
    return [
        *said_by_caller(_header(record), own),
        *record.labels,
        *_of_caller(settings),
        *_of_model(settings, model),
    ]


def carried_by(
    record: Record, settings: Settings, policy: Policy, model: str = ""
) -> dict[str, str]:
    """What is kept with an answer that others may build on: the label that was said of its request,
    and of the model that gives it. What is found in the texts themselves is found again, by who
    builds on it. Empty where nobody said any."""
    said = said_of(record, settings, model)
    return {LABEL: Judgement.of(policy, said).label} if said else {}


def taken_up(kept: Any, source: str) -> tuple[Reason, ...]:
    """The voice of an answer that was kept with a label, in what builds on it."""
    label = kept.get(LABEL) if isinstance(kept, dict) else None
    return (Reason(HISTORY, label, source),) if isinstance(label, str) else ()


def _header(record: Record) -> str | None:
    """What the header says; where it is there twice, both: that is no label, and so it stays."""
    said = [value for name, value in record.scope.get("headers", ()) if name == _HEADER]
    return b", ".join(said).decode("latin-1") if said else None


def _of_caller(settings: Settings) -> Iterable[Reason]:
    who, callers = now(), settings.privacy.callers
    if not callers:
        return
    for source, name in ((KEY, who.by), (KEY, f"key:{who.key_name}"), (USER, f"user:{who.owner}")):
        if name in callers:
            yield Reason(source, callers[name], name)


def _of_model(settings: Settings, model: str) -> Iterable[Reason]:
    own = settings.models.get(model)
    if own is not None and own.label:
        yield Reason(MODEL, own.label, model)
