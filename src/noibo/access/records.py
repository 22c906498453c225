"""Keys, users and sessions in the database.

Every change counts `version` up in the same transaction, so that another server on this database
sees that there was one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from noibo.access.api_key import Key
from noibo.access.grant import Grant
from noibo.access.user import IDLE_S, LONGEST_S, Session, User
from noibo.database.database import Database
from noibo.database.schema import OWNED, access_version, api_keys, batches, sessions, users
from noibo.errors import NameTaken, NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Everything:
    """All that says who may come in, at one moment."""

    version: int
    keys: tuple[Key, ...]
    users: tuple[User, ...]
    sessions: tuple[Session, ...]


class AccessRecords:
    """Reads and changes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """What counts up with every change."""
        return await self._database.read(_version)

    async def everything(self) -> Everything:
        """All of it, as of one transaction. What has ended for good is left out."""
        now = time.time()

        def read(connection: Connection) -> Everything:
            lives = sessions.c.created_at > now - LONGEST_S, sessions.c.seen_at > now - IDLE_S
            return Everything(
                version=_version(connection),
                keys=tuple(_key(row) for row in connection.execute(sa.select(api_keys))),
                users=tuple(User(**row._mapping) for row in connection.execute(sa.select(users))),
                sessions=tuple(
                    Session(**row._mapping)
                    for row in connection.execute(sa.select(sessions).where(*lives))
                ),
            )

        return await self._database.read(read)

    async def add_key(self, key: Key) -> None:
        """Keep a key. Raises `NameTaken`, and `NotFound` for an owner who is no user."""

        def write(connection: Connection) -> None:
            if key.user is not None:
                _require_user(connection, key.user)
            live = sa.select(api_keys.c.id).where(
                api_keys.c.name == key.name, api_keys.c.revoked_at.is_(None)
            )
            if connection.execute(live.limit(1)).first():
                raise NameTaken(
                    f"There is a key called {key.name!r} already.",
                    next_step="Choose another name, or revoke that one first.",
                )
            connection.execute(api_keys.insert().values(_row(key)))

        await self._change(write)

    async def revoke_key(self, which: str) -> str:
        """Revoke a key by its id or its name, for ever; its id. Raises `NotFound`."""

        def write(connection: Connection) -> str:
            live = api_keys.c.revoked_at.is_(None)
            mine = sa.or_(api_keys.c.id == which, api_keys.c.name == which)
            asked = sa.select(api_keys.c.id).where(live, mine).order_by(api_keys.c.id != which)
            found = connection.execute(asked.limit(1)).scalar()  # a name may be another's id
            if found is None:
                raise NotFound(
                    f"There is no key {which[:80]!r} that holds.",
                    next_step="`noibo key list` shows them.",
                )
            gone = api_keys.update().where(api_keys.c.id == found)
            connection.execute(gone.values(revoked_at=time.time()))
            return str(found)

        return await self._change(write)

    async def add_user(self, user: User) -> None:
        """Keep a user. What another of that name stored, who was removed, is not theirs. Raises
        `NameTaken`."""

        def write(connection: Connection) -> None:
            try:
                with connection.begin_nested():
                    connection.execute(users.insert().values(asdict(user)))
            except IntegrityError:
                raise NameTaken(
                    f"There is a user {user.name!r} already.",
                    next_step="`noibo user password` gives them another password.",
                ) from None
            _set_aside(connection, user.name)

        await self._change(write)

    async def change_user(self, name: str, **values: str) -> None:
        """Give a user another role or password; all their sessions end. Raises `NotFound`."""

        def write(connection: Connection) -> None:
            _require_user(connection, name)
            connection.execute(users.update().where(users.c.name == name).values(**values))
            _end_sessions(connection, name)

        await self._change(write)

    async def remove_user(self, name: str) -> None:
        """Remove a user with sessions and keys; what they stored stays, and is nobody's. Raises
        `NotFound`."""

        def write(connection: Connection) -> None:
            _require_user(connection, name)
            live = api_keys.c.revoked_at.is_(None), api_keys.c.owner == name
            connection.execute(api_keys.update().where(*live).values(revoked_at=time.time()))
            _end_sessions(connection, name)
            connection.execute(users.delete().where(users.c.name == name))
            _set_aside(connection, name)

        await self._change(write)

    async def add_session(self, session: Session, password: str) -> bool:
        """Keep a session, if that still is the user's password; those that have ended are
        forgotten."""
        mine = users.c.name == session.user, users.c.password == password

        def write(connection: Connection) -> bool:
            if not connection.execute(sa.select(users.c.name).where(*mine)).first():
                return False
            ended = sa.or_(
                sessions.c.created_at <= session.created_at - LONGEST_S,
                sessions.c.seen_at <= session.created_at - IDLE_S,
            )
            connection.execute(sessions.delete().where(ended))
            connection.execute(sessions.insert().values(asdict(session)))
            return True

        return await self._change(write)

    async def replace_password(self, session: Session, old: str, new: str) -> bool:
        """Another password for a user, if that still is the old one: their sessions end, and this
        one begins."""
        mine = users.c.name == session.user, users.c.password == old

        def write(connection: Connection) -> bool:
            if not connection.execute(users.update().where(*mine).values(password=new)).rowcount:
                return False
            _end_sessions(connection, session.user)
            connection.execute(sessions.insert().values(asdict(session)))
            return True

        return await self._change(write)

    async def see_session(self, digest: bytes, now: float) -> None:
        """A session was used. No change that another server must know of at once."""
        seen = sessions.update().where(sessions.c.digest == digest).values(seen_at=now)
        await self._database.write(lambda connection: _run(connection, seen))

    async def end_session(self, digest: bytes) -> None:
        """End a session, if there is one."""
        gone = sessions.delete().where(sessions.c.digest == digest)
        await self._change(lambda connection: _run(connection, gone))

    async def _change(self, work: Callable[[Connection], T]) -> T:
        def write(connection: Connection) -> T:
            counted = access_version.update().values(version=access_version.c.version + 1)
            connection.execute(counted)  # first: it is what others wait for
            return work(connection)

        return await self._database.write(write)


def _run(connection: Connection, statement: Any) -> None:
    connection.execute(statement)


def _version(connection: Connection) -> int:
    return int(connection.execute(sa.select(access_version.c.version)).scalar_one())


def _end_sessions(connection: Connection, name: str) -> None:
    connection.execute(sessions.delete().where(sessions.c.user == name))


def _set_aside(connection: Connection, name: str) -> None:
    """What is stored under a name goes to one that no caller can have; what is still asked for it
    is refused. The bytes stay for who runs the server."""
    former = f"{name} until {time.time():.6f}"
    for table in OWNED:
        mine = table.update().where(table.c.owner == name)
        connection.execute(mine.values(owner=former))
    asked = batches.update().where(batches.c.asked_by == f"user:{name}")
    connection.execute(asked.values(asked_by="user:"))


def _require_user(connection: Connection, name: str) -> None:
    if not connection.execute(sa.select(users.c.name).where(users.c.name == name)).first():
        raise NotFound(
            f"There is no user {name[:80]!r}.", next_step="`noibo user list` shows who there is."
        )


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        owner=row.owner,
        grant=Grant(row.role, tuple(json.loads(row.models)), tuple(json.loads(row.routes))),
        digest=row.digest,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "role": key.grant.role,
        "models": json.dumps(key.grant.models),
        "routes": json.dumps(key.grant.routes),
        "digest": key.digest,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
