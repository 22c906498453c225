"""Reservations in the database, which decides: servers that share one never spend together what
one of them may not.

Money that a call can cost is added to `reserved` by an UPDATE that is refused where it does not fit
beside what is spent; when the call has ended, `reserved` becomes `spent`, as far as it cost. Who
made reservations says now and then that it lives; those of a dead server are charged in full: how
much the call cost is known to nobody then, but it is no more. All times are the database's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy import Connection

from noibo.database.conflict import insert_new
from noibo.database.schema import (
    budget_calls,
    budget_holders,
    budget_reservations,
    budget_spending,
    usage,
)
from noibo.usage.entry import UsageEntry
from noibo.usage.records import insert_entries, replace_entry
from noibo.usage.rules import HOUR, HOUR_S, Claim

KEPT_S: Final = 86_400.0  # expired ones, for a holder that lives after all
_MOST_SWEPT: Final = 200
_CLOCK_S: Final = 60.0  # that clocks differ by
_OPEN, _EXPIRED = "open", "expired"
_ENTRY: Final = msgspec.json.Decoder(UsageEntry)


SOON_S: Final = 5.0  # until calls that run have ended, and what they did not cost is free again


@dataclass(frozen=True, slots=True)
class Full:
    """A limit that a call does not fit in: what is used of it, and seconds until it may have room;
    None: at the end of its period."""

    claim: Claim
    used: int
    wait_s: float | None = None


class NoRoom(Exception):
    """Ends the transaction; nothing of it is kept."""

    def __init__(self, full: Sequence[Full]) -> None:
        super().__init__()
        self.full = tuple(full)


def now(connection: Connection) -> sa.ColumnElement[Any]:
    """The database's own clock, in seconds since 1970."""
    if connection.dialect.name == "postgresql":
        return sa.extract("epoch", sa.func.clock_timestamp())
    return (sa.func.julianday("now") - 2440587.5) * 86400.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A server that reserves; what it has reserved lasts so long without a word of it."""

    id: str
    lasts_s: float = 30.0


def live(connection: Connection, holder: Holder) -> None:
    """Say that a holder lives. Where that was said lately its row is left alone: calls that are
    reserved for at the same moment would wait for each other there."""
    here = now(connection)
    row = {"id": holder.id, "until": here + holder.lasts_s}
    if not insert_new(connection, budget_holders, row):
        mine = budget_holders.c.id == holder.id
        due = budget_holders.c.until < here + holder.lasts_s * 0.8
        connection.execute(budget_holders.update().where(mine, due).values(until=row["until"]))


def take(
    connection: Connection, holder: Holder, draft: UsageEntry, amount: int, claims: Sequence[Claim]
) -> None:
    """Reserve `amount`, and one call, of each limit. `draft` is what is kept of the call if nobody
    ever says more. Raises `NoRoom`."""
    live(connection, holder)
    full = [one for claim in claims if (one := _take(connection, draft.id, amount, claim))]
    if full:
        raise NoRoom(full)
    connection.execute(
        budget_reservations.insert().values(
            id=draft.id,
            holder=holder.id,
            at=now(connection),
            state=_OPEN,
            amount=amount,
            claims=msgspec.json.encode([(one.scope, one.period) for one in claims]).decode(),
            entry=msgspec.json.encode(draft).decode(),
        )
    )


def settle(connection: Connection, entry: UsageEntry, charge: int | None = None) -> None:
    """Keep a call that ended, and charge what it cost (or `charge`) instead of what was reserved.
    Once: what is settled already, or was released, stays so."""
    found = _reservation(connection, entry.id)
    if found is None:
        insert_entries(connection, [entry])
        return
    # Whose it is stands in the reservation: somebody may have been erased since.
    draft = _ENTRY.decode(found.entry)
    entry = replace(entry, owner=draft.owner, key=draft.key)
    charge = (entry.cost or 0) if charge is None else charge
    late = found.state == _EXPIRED  # it was taken for lost, and charged in full
    spent, freed = (charge - found.amount, 0) if late else (charge, found.amount)
    _move(connection, dict.fromkeys(_places(found), (spent, freed)))
    _drop(connection, entry.id)
    if late:
        replace_entry(connection, entry)
    else:
        insert_entries(connection, [entry])


def settle_all(connection: Connection, entries: Sequence[UsageEntry]) -> None:
    """Keep calls that ended, as they come from the journal."""
    paid = [one.id for one in entries if not one.local]
    if not paid:
        insert_entries(connection, entries)
        return
    table = budget_reservations
    asked = sa.select(table.c.id).where(table.c.id.in_(paid)).order_by(table.c.id)
    reserved = set(connection.execute(asked).scalars())
    insert_entries(connection, [one for one in entries if one.id not in reserved])
    for entry in sorted(entries, key=lambda one: one.id):
        if entry.id in reserved:
            settle(connection, entry)


def release(connection: Connection, reservation: str) -> None:
    """Nothing was asked: money and call are free again."""
    found = _reservation(connection, reservation)
    if found is None:
        return
    back = (-found.amount, 0) if found.state == _EXPIRED else (0, found.amount)
    _move(connection, dict.fromkeys(_places(found), back))
    connection.execute(budget_calls.delete().where(budget_calls.c.reservation == reservation))
    connection.execute(usage.delete().where(usage.c.id == reservation))  # it is not lost
    _drop(connection, reservation)


def sweep(connection: Connection) -> int:
    """Charge what dead holders reserved, and keep their calls as lost; how many they were."""
    table, here = budget_reservations, now(connection)
    alive = sa.select(budget_holders.c.id).where(budget_holders.c.until > here)
    asked = sa.select(table).where(table.c.state == _OPEN, table.c.holder.not_in(alive))
    asked = asked.order_by(table.c.id).limit(_MOST_SWEPT).with_for_update(skip_locked=True)
    dead = connection.execute(asked).all()
    moves: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for found in dead:
        for place in _places(found):
            spent, freed = moves[place]
            moves[place] = spent + found.amount, freed + found.amount
    _move(connection, moves)
    lost = [replace(_ENTRY.decode(found.entry), outcome="lost") for found in dead]
    insert_entries(connection, lost)
    ids = [found.id for found in dead]
    connection.execute(table.update().where(table.c.id.in_(ids)).values(state=_EXPIRED))
    return len(dead)


def forget(connection: Connection) -> None:
    """What counts no more is gone: calls over an hour old, what expired long ago. What a clock that
    went back left in the future counts from now on: a call for an hour, a holder no more (one that
    lives says so again)."""
    here = now(connection)
    ahead = budget_calls.c.at > here + _CLOCK_S
    connection.execute(budget_calls.update().where(ahead).values(at=here))
    connection.execute(budget_holders.delete().where(budget_holders.c.until > here + HOUR_S))
    old = budget_reservations.c.state == _EXPIRED, budget_reservations.c.at < here - KEPT_S
    connection.execute(budget_reservations.delete().where(*old))
    connection.execute(budget_calls.delete().where(budget_calls.c.at < here - HOUR_S))
    connection.execute(budget_holders.delete().where(budget_holders.c.until < here - KEPT_S))


def die(connection: Connection, holder: Holder) -> None:
    """A holder ends: what it has left to say comes by the journal, or never."""
    connection.execute(budget_holders.delete().where(budget_holders.c.id == holder.id))


def used(connection: Connection, claim: Claim) -> tuple[int, int]:
    """What is spent of a limit, and what is reserved; of a limit of calls, how many were made."""
    if claim.period == HOUR:
        return _calls(connection, claim.scope), 0
    table = budget_spending
    mine = table.c.scope == claim.scope, table.c.period == claim.period
    found = connection.execute(sa.select(table.c.spent, table.c.reserved).where(*mine)).first()
    return (int(found.spent), int(found.reserved)) if found else (0, 0)


def _take(connection: Connection, reservation: str, amount: int, claim: Claim) -> Full | None:
    table = budget_spending
    mine = table.c.scope == claim.scope, table.c.period == claim.period
    new = {"scope": claim.scope, "period": claim.period, "spent": 0, "reserved": 0}
    insert_new(connection, table, new)
    if claim.period == HOUR:
        # Not for its value: whoever counts in this scope waits until this transaction ends.
        connection.execute(table.update().where(*mine).values(reserved=table.c.reserved))
        made = _calls(connection, claim.scope)
        if made >= claim.limit:
            return Full(claim, made, _until_a_call(connection, claim))
        call = {"scope": claim.scope, "reservation": reservation, "at": now(connection)}
        connection.execute(budget_calls.insert().values(**call))
        return None
    fits = table.c.spent + table.c.reserved <= claim.limit - amount
    more = table.update().where(*mine, fits).values(reserved=table.c.reserved + amount)
    if connection.execute(more).rowcount:
        return None
    spent, reserved = used(connection, claim)
    return Full(claim, spent + reserved, SOON_S if spent + amount <= claim.limit else None)


def _calls(connection: Connection, scope: str) -> int:
    table = budget_calls
    lately = table.c.scope == scope, table.c.at > now(connection) - HOUR_S
    counted = sa.select(sa.func.count()).select_from(table).where(*lately)
    return int(connection.execute(counted).scalar_one())


def _until_a_call(connection: Connection, claim: Claim) -> float:
    """Seconds until so many of the calls are an hour old that there is room for one."""
    if not claim.limit:
        return HOUR_S
    table = budget_calls
    since = (table.c.at + HOUR_S - now(connection)).label("left")
    asked = sa.select(since).where(table.c.scope == claim.scope).order_by(table.c.at.desc())
    left = connection.execute(asked.offset(claim.limit - 1).limit(1)).scalar()
    return min(max(float(left or 0), 0.0), HOUR_S)


def _reservation(connection: Connection, reservation: str) -> Any:
    table = budget_reservations
    asked = sa.select(table).where(table.c.id == reservation).with_for_update()
    return connection.execute(asked).first()


def _drop(connection: Connection, reservation: str) -> None:
    table = budget_reservations
    connection.execute(table.delete().where(table.c.id == reservation))


def _places(found: Any) -> list[tuple[str, str]]:
    """The rows that it has money in."""
    claims: list[tuple[str, str]] = msgspec.json.decode(found.claims, type=list[tuple[str, str]])
    return [one for one in claims if one[1] != HOUR]


def _move(connection: Connection, moves: dict[tuple[str, str], tuple[int, int]]) -> None:
    """Add to what is spent, and take from what is reserved, in the order in which all do."""
    table = budget_spending
    for (scope, period), (spent, freed) in sorted(moves.items()):
        if spent or freed:
            connection.execute(
                table.update()
                .where(table.c.scope == scope, table.c.period == period)
                .values(spent=table.c.spent + spent, reserved=table.c.reserved - freed)
            )
