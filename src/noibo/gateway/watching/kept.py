"""A request that models of this machine have answered, as rows of the ledger of usage.

What was answered elsewhere has rows of its own: see `leaving`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noibo.gateway.access.identity import now
from noibo.gateway.watching.record import Record
from noibo.usage.entry import Outcome, UsageEntry, new_id
from noibo.usage.tokens import Tokens

if TYPE_CHECKING:
    from noibo.gateway.leaving.accounts import Accounts


def kept_by(accounts: Accounts) -> Callable[[Record], None]:
    """Who writes the rows of each record. It waits for nothing."""

    def keep(record: Record) -> None:
        if not record.model:
            return  # nobody asked a model
        by_model: dict[str, list[Any]] = {}
        for model, tokens in record.heard:
            by_model.setdefault(model.name, []).append(tokens)
        if by_model:
            for name, heard in by_model.items():
                accounts.ledger.note(_entry(record, accounts, name, heard))
        elif record.journey is None:
            accounts.ledger.note(_entry(record, accounts, record.model, []))

    return keep


def _entry(record: Record, accounts: Accounts, model: str, heard: list[Any]) -> UsageEntry:
    ended = record.ended or time.perf_counter()
    total_ms = round(1000 * (ended - record.began))
    if heard:
        counts = Tokens(
            input=sum(one.prompt for one in heard),
            cached=sum(one.reused for one in heard),
            output=sum(one.written for one in heard),
        )
        first = min((one.first_at for one in heard if one.first_at), default=0.0)
        at_once = heard[0].worker.leases
    else:
        counts, first, at_once = Tokens(input=record.prompt, output=0), 0.0, 1
    cost = accounts.machine.cost(total_ms, at_once)
    who, judgement = now(), record.journey.judgement if record.journey is not None else None
    return UsageEntry(
        id=new_id(),
        request=record.id,
        at=record.at,
        owner=who.owner,
        model=model,
        key=who.by,
        asked=record.asked or model,
        route=record.strategy,
        reasons=record.reasons,
        tokens=counts,
        first_ms=round(1000 * (first - record.began)) if first else None,
        total_ms=total_ms,
        cost=cost,
        cost_by="" if cost is None else "machine",
        label=judgement.label if judgement is not None else "",
        outcome=_outcome(record),
    )


def _outcome(record: Record) -> Outcome:
    if record.left:
        return "cancelled"
    if not record.error:
        return "ok"
    return "cut" if record.status == 200 else "failed"
