"""Lets go of what is old enough: each kind of what is stored has its days in the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from noibo.gateway.stored import Stored
from noibo.ledger.ledger import Ledger
from noibo.settings import Settings

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Period:
    """How long one kind is kept. `days` 0: for ever. `due` counts what is older, `let_go` takes it
    away; of ledgers only whole parts go, so `due` may be more than goes."""

    kind: str
    setting: str
    days: int
    due: Callable[[], Awaitable[int]]
    let_go: Callable[[], Awaitable[int]]


def periods(stored: Stored, settings: Settings, now: float | None = None) -> list[Period]:
    """All kinds, as the settings are."""
    moment = time.time() if now is None else now
    own = settings.retention

    def before(days: int) -> float:
        return moment - days * _DAY_S

    responses, files = settings.server.keep_responses_days, own.files_days
    batches = own.batches_days
    found = [
        Period(
            "responses",
            "server.keep_responses_days",
            responses,
            lambda: stored.responses.older_than(before(responses)),
            lambda: stored.responses.forget(moment - before(responses)),
        ),
        Period(
            "files",
            "retention.files_days",
            files,
            lambda: stored.files.older_than(before(files)),
            lambda: stored.files.forget(before(files)),
        ),
        Period(
            "batches",
            "retention.batches_days",
            batches,
            lambda: stored.batches.older_than(before(batches)),
            lambda: stored.batches.forget(before(batches)),
        ),
    ]
    for name, days in (("egress", own.egress_days), ("audit", own.audit_days)):
        ledger = Ledger(settings.home / f"{name}.jsonl")
        found.append(_of_ledger(ledger, name, days, before(days)))
    return found


def keeps_not_for_ever(settings: Settings) -> bool:
    """True if anything is taken away when it is old enough."""
    own = settings.retention
    days = (own.files_days, own.batches_days, own.egress_days, own.audit_days)
    return bool(settings.server.keep_responses_days or any(days))


async def let_go(stored: Stored, settings: Settings) -> dict[str, int]:
    """Take away what is old enough; how much of each kind."""
    counts = {}
    for period in periods(stored, settings):
        if period.days and (count := await period.let_go()):
            counts[period.kind] = count
    return counts


def _of_ledger(ledger: Ledger, name: str, days: int, before: float) -> Period:
    async def due() -> int:
        return await asyncio.to_thread(ledger.older_than, before)

    async def prune() -> int:
        return await asyncio.to_thread(ledger.prune, before)

    return Period(name, f"retention.{name}_days", days, due, prune)
