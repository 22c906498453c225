"""What `noibo usage` reads: this home's ledger, with what servers have not brought into it yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from noibo.settings import Settings
from noibo.usage.money import DOLLARS, Currency, decimal
from noibo.usage.periods import Zone, moment, zone

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from noibo.database.database import Database
    from noibo.usage.budgets import Standing
    from noibo.usage.report import Report
    from noibo.usage.rules import Claim
    from noibo.usage.sums import By, Window

DAY_S: Final = 86_400.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger of a home, and how its numbers are shown."""

    tree: Settings

    @property
    def where(self) -> Zone:
        """Where days begin."""
        return zone(self.tree.usage.time_zone)

    @property
    def currency(self) -> Currency:
        """What amounts are shown in. Raises `SettingsError` for đồng without a rate."""
        from noibo.errors import SettingsError

        usage = self.tree.usage
        if usage.currency == "USD":
            return DOLLARS
        if not usage.vnd_per_usd:
            raise SettingsError(
                "Amounts are to be shown in VND, and nothing says how many a dollar is.",
                next_step='Set usage.vnd_per_usd = 26000, say; or usage.currency = "USD".',
            )
        return Currency("VND", decimal(usage.vnd_per_usd, "usage.vnd_per_usd"))

    def window(
        self, since: str, until: str | None = None, user: str = "", model: str = ""
    ) -> Window:
        """Calls from when until when; unset: also those that end while they are read."""
        from noibo.usage.sums import Window

        now = time.time()
        end = now + DAY_S if until is None else moment(until, now, self.where, "--until")
        return Window(moment(since, now, self.where), end, user=user, model=model)

    def report(self, window: Window, by: By, against: str | None = None) -> Report:
        """What was used and what it cost then, against a reference model."""
        from noibo.assembly import open_prices
        from noibo.usage.report import report
        from noibo.usage.sums import sums

        reference = against or self.tree.usage.reference
        price = open_prices(self.tree).named(reference) if reference else None
        long = price.long_above if price and price.long else 0
        cells = self.read(lambda held: sums(held, window, by, long)) or []
        return report(cells, by, self.where, reference, price)

    def read(self, work: Callable[[Connection], T]) -> T | None:
        """What `work` finds; None where nothing was ever kept."""
        return asyncio.run(self._read(work))

    async def _read(self, work: Callable[[Connection], T]) -> T | None:
        from noibo.assembly import may_have_stored, open_database, open_money
        from noibo.usage.ledger import FOLDER

        if not may_have_stored(self.tree) and not (self.tree.home / FOLDER).exists():
            return None
        database = open_database(self.tree)

        async def opened() -> Database:
            return database

        ledger, _ = open_money(self.tree, opened)
        try:
            await ledger.look()
            await ledger.charge_the_dead()
            return await database.read(work)
        finally:
            await ledger.close()
            await database.close()

    def key_names(self) -> dict[str, str]:
        """The keys of this home, as `key:ID`, and what they are called."""

        def look(connection: Connection) -> dict[str, str]:
            import sqlalchemy as sa

            from noibo.database.schema import api_keys

            asked = sa.select(api_keys.c.id, api_keys.c.name)
            return {f"key:{one.id}": one.name for one in connection.execute(asked)}

        return self.read(look) or {}

    def spent_in(self) -> list[str]:
        """Whoever anything was ever reserved for: `user:anna`, `key:ID`, `model:NAME` …"""

        def look(connection: Connection) -> list[str]:
            import sqlalchemy as sa

            from noibo.database.schema import budget_spending

            asked = sa.select(budget_spending.c.scope).distinct()
            return sorted(connection.execute(asked).scalars())

        return self.read(look) or []

    def standings(self, claims: Sequence[Claim]) -> list[Standing]:
        """How limits stand."""
        from noibo.usage.budgets import Standing

        def look(connection: Connection) -> list[Standing]:
            from noibo.usage import reservations

            return [Standing(one, *reservations.used(connection, one)) for one in claims]

        found = self.read(look)
        return [Standing(one, 0, 0) for one in claims] if found is None else found
