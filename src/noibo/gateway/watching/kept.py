"""A request that models of this machine have answered, as rows of the ledger of usage.

What was answered elsewhere has rows of its own: see `leaving`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from noibo.gateway.access.identity import now
from noibo.gateway.tokens import Tokens as Counted
from noibo.gateway.watching.record import Record
from noibo.usage.entry import Outcome, new_id

if TYPE_CHECKING:
    from noibo.gateway.leaving.accounts import Accounts


def kept_by(accounts: Accounts) -> Callable[[Record], None]:
    """Who writes the rows of each record. It waits for nothing."""

    def keep(record: Record) -> None:
        if not record.model:
            return  # nobody asked a model
        if len(record.heard) == 1:
            model, tokens = record.heard[0]
            accounts.ledger.note(_fields(record, accounts, model.name, tokens))
            return
        by_model: dict[str, list[Counted]] = {}
        for model, tokens in record.heard:
            by_model.setdefault(model.name, []).append(tokens)
        for name, heard in by_model.items():
            accounts.ledger.note(_fields(record, accounts, name, _Together(heard)))
        if not by_model and record.journey is None:
            accounts.ledger.note(_fields(record, accounts, record.model, None))

    return keep


class _Together:
    """Several answers of one model to one request, as one."""

    def __init__(self, heard: Sequence[Counted]) -> None:
        self.prompt = sum(one.prompt for one in heard)
        self.reused = sum(one.reused for one in heard)
        self.written = sum(one.written for one in heard)
        self.first_at = min((one.first_at for one in heard if one.first_at), default=0.0)
        self.worker = heard[0].worker


def _fields(
    record: Record, accounts: Accounts, model: str, heard: Counted | _Together | None
) -> dict[str, Any]:
    """Those of a `UsageEntry`, without what is as usual: this is on the way of every answer."""
    total_ms = round(1000 * ((record.ended or time.perf_counter()) - record.began))
    who, journey = now(), record.journey
    found = {
        "id": new_id(),
        "request": record.id,
        "at": record.at,
        "owner": who.owner,
        "model": model,
        "asked": record.asked or model,
        "total_ms": total_ms,
    }
    if heard is None:
        found["tokens"] = {"input": record.prompt, "output": 0}
    else:
        written, reused = heard.written, heard.reused
        found["tokens"] = {"input": heard.prompt, "cached": reused, "output": written}
        if heard.first_at:
            found["first_ms"] = round(1000 * (heard.first_at - record.began))
    if who.by:
        found["key"] = who.by
    if (outcome := _outcome(record)) != "ok":
        found["outcome"] = outcome
    at_once = 1 if heard is None else heard.worker.leases
    if (cost := accounts.machine.cost(total_ms, at_once)) is not None:
        found |= {"cost": cost, "cost_by": "machine"}
    if record.strategy:
        found |= {"route": record.strategy, "reasons": record.reasons}
    if journey is not None and journey.judgement is not None:
        found["label"] = journey.judgement.label
    return found


def _outcome(record: Record) -> Outcome:
    if record.left:
        return "cancelled"
    if not record.error:
        return "ok"
    return "cut" if record.status == 200 else "failed"
