"""Who does what `noibo key` and `noibo user` ask for: this home's server, else we.

Both have the same methods. Without a server none is started: the first key is made before the
first server listens to others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from noibo.access.grant import Role, grant_of
from noibo.access.office import Office
from noibo.errors import RequestFailed, ServerUnreachable
from noibo.settings import Settings
from noibo.wire.access import KeyRow, KeyWanted, NewKey, UserRow
from noibo.wire.management import Done

if TYPE_CHECKING:
    from noibo.access.records import AccessRecords

T = TypeVar("T")


class AccessService(Protocol):
    """What `client.Client` and `_Here` both do."""

    def keys(self) -> list[KeyRow]: ...
    def make_key(self, wanted: KeyWanted) -> NewKey: ...
    def revoke_key(self, key: str) -> KeyRow: ...
    def users(self) -> list[UserRow]: ...
    def add_user(self, name: str, password: str, role: str = "user") -> UserRow: ...
    def change_user(
        self, name: str, password: str | None = None, role: str | None = None
    ) -> UserRow: ...
    def remove_user(self, name: str) -> Done: ...


@contextlib.contextmanager
def access_service(tree: Settings) -> Iterator[AccessService]:
    """The one that is to be asked: what a server changes holds in it at once."""
    from noibo.cli.background import connect
    from noibo.cli.models_service import as_there

    try:
        client = connect(tree)
    except ServerUnreachable:
        with asyncio.Runner() as runner:
            from noibo.assembly import open_database, open_office, open_records

            database = open_database(tree)
            records = open_records(database)

            async def opened() -> AccessRecords:
                return records

            try:
                yield _Here(open_office(opened, tree), runner)
            finally:
                runner.run(database.close())
        return
    with client:
        try:
            yield client
        except RequestFailed as exc:
            raise as_there(exc) from exc


class _Here:
    """An office in this process."""

    def __init__(self, office: Office, runner: asyncio.Runner) -> None:
        self._office = office
        self._runner = runner

    def keys(self) -> list[KeyRow]:
        return self._do(self._office.keys())

    def make_key(self, wanted: KeyWanted) -> NewKey:
        grant = grant_of(wanted.role, wanted.models, wanted.routes)
        return self._do(
            self._office.make_key(wanted.name, grant, user=wanted.user, lasts_s=wanted.lasts_s)
        )

    def revoke_key(self, key: str) -> KeyRow:
        return self._do(self._office.revoke_key(key))

    def users(self) -> list[UserRow]:
        return self._do(self._office.users())

    def add_user(self, name: str, password: str, role: str = "user") -> UserRow:
        return self._do(self._office.add_user(name, cast("Role", role), password))

    def change_user(
        self, name: str, password: str | None = None, role: str | None = None
    ) -> UserRow:
        return self._do(self._office.change_user(name, cast("Role | None", role), password))

    def remove_user(self, name: str) -> Done:
        return self._do(self._office.remove_user(name))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
