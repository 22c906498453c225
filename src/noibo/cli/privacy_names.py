"""Whose a pseudonym of the ledger is, as far as that is still known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noibo.access.user import LOCAL
from noibo.egress_ledger import Departed, Sum
from noibo.errors import LedgerError
from noibo.ledger.node import Node, find_node
from noibo.ledger.walk import rows
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.access.records import AccessRecords


@dataclass(frozen=True, slots=True)
class Names:
    """Names of users and keys by their pseudonyms. Who was erased is in it no more."""

    node: Node | None
    known_as: Mapping[str, str]

    @classmethod
    def known(cls, tree: Settings) -> Names:
        """Those that this home's database knows."""
        node = find_node(tree.home)
        if node is None:
            return cls(None, {})
        return cls(node, {node.pseudonym(name): name for name in _owners(tree)})

    def require_key(self, record: Path) -> int:
        """Up to which row another key was used, 0 for none: of these nobody can tell whose they are
        and what they carried. Raises `LedgerError` where there is none to tell it by."""
        node = self.node
        if node is None and next(rows(record), None) is not None:
            raise LedgerError(
                "The key of this node is gone: whose a departure was, and what it carried, cannot"
                " be told.",
                next_step="Put node_key.json back from a copy; `noibo privacy report` shows all"
                " departures without it.",
            )
        if node is None:
            return 0
        return max((row.number for row in rows(record) if not row.is_by(node)), default=0)

    def of(self, pseudonym: str) -> str:
        """The name; the pseudonym itself where it is not known any more."""
        return self.known_as.get(pseudonym, pseudonym)

    def pseudonym(self, name: str) -> str:
        """What stands for a name in the ledger."""
        return self.node.pseudonym(name) if self.node is not None else ""

    def told(self, one: Departed) -> dict[str, Any]:
        """A departure, for programs."""
        row = asdict(one)
        del row["salt"]
        return row | {"time": _moment(one.time), "user": self.of(one.user), "open": one.is_open}

    @staticmethod
    def told_sum(one: Sum) -> dict[str, Any]:
        """A sum, for programs."""
        return asdict(one) | {"first": _moment(one.first), "last": _moment(one.last)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def _owners(tree: Settings) -> list[str]:
    from noibo.assembly import may_have_stored

    if not may_have_stored(tree):
        return [LOCAL]
    import asyncio

    from noibo.assembly import open_database, open_records

    async def asked() -> list[str]:
        database = open_database(tree)
        try:
            return _names(await _everything(open_records(database)))
        finally:
            await database.close()

    return asyncio.run(asked())


async def _everything(records: AccessRecords) -> Any:
    return await records.everything()


def _names(found: Any) -> list[str]:
    keys = [key.owner for key in found.keys]
    return list(dict.fromkeys([LOCAL, *(user.name for user in found.users), *keys]))
