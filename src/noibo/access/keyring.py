"""Who holds a key or a session, looked up in memory: a request waits for no database.

A change made by this server holds with its next request. Another server on the same database sees
it within `OTHERS_S`. When the database cannot be asked for longer than `BLIND_S`, nobody is let in
by what was true then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from noibo.access import api_key, user
from noibo.access.api_key import Key
from noibo.access.grant import ROLES, Grant
from noibo.access.user import Session, User
from noibo.errors import DatabaseError, NoiboError, Unauthorized

if TYPE_CHECKING:
    from noibo.access.records import AccessRecords, Everything

log = logging.getLogger(__name__)

OTHERS_S: Final = 1.0
BLIND_S: Final = 30.0
SEEN_EVERY_S: Final = 60.0  # a session's use is written down no more often

Open = Callable[[], "Awaitable[AccessRecords]"]


class Keyring:
    """What is known of keys, users and sessions."""

    def __init__(self, open_records: Open) -> None:
        self._open = open_records
        self._keys: dict[str, Key] = {}
        self._users: dict[str, User] = {}
        self._sessions: dict[bytes, Session] = {}
        self._version = -1
        self._true_at = float("-inf")  # monotonic: when that was known to be all
        self._turn = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def key(self, text: str) -> tuple[Key, Grant]:
        """The key that a caller sent, and what it may now. Raises `Unauthorized`."""
        await self._require_true()
        parts = api_key.parts(text)
        if parts is None:
            raise Unauthorized(
                "The key is not whole.", next_step="Copy it again: noibo_, ten signs, _, 64 digits."
            )
        key = self._keys.get(parts[0])
        if not api_key.is_it(key, parts[1]) or key is None:
            raise Unauthorized(
                "There is no such key here.", next_step="Ask who runs this server for another."
            )
        if fault := key.fault(time.time()):
            raise Unauthorized(
                f"The key {key.name!r} {fault}.",
                next_step="Ask who runs this server for another.",
            )
        return key, self._narrowed(key)

    async def session(self, token: str) -> Session | None:
        """The session of a cookie, if it lives."""
        await self._require_true()
        session = self._sessions.get(user.digest(token))
        now = time.time()
        if session is None or not session.lives(now) or session.user not in self._users:
            return None
        if now - session.seen_at > SEEN_EVERY_S:
            session = Session(session.digest, session.user, session.created_at, now)
            self._sessions[session.digest] = session
            with contextlib.suppress(NoiboError):
                await (await self._open()).see_session(session.digest, now)
        return session

    async def user(self, name: str) -> User | None:
        """A user, if there is one."""
        await self._require_true()
        return self._users.get(name)

    async def grant_of(self, by: str) -> Grant:
        """What somebody may now who was let in before as `key:ID` or `user:NAME`. Raises
        `Unauthorized` where that holds no more."""
        await self._require_true()
        kind, _, name = by.partition(":")
        if kind == "user" and name in self._users:
            return self._users[name].grant
        key = self._keys.get(name) if kind == "key" else None
        if key is None or key.fault(time.time()):
            raise Unauthorized(
                "Who asked for this is not let in any more.",
                next_step="Ask for it again, with a key that holds.",
            )
        return self._narrowed(key)

    async def keys(self) -> list[Key]:
        """All keys that hold or once did, by age."""
        await self._require_true()
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def users(self) -> list[User]:
        """All users, by name."""
        await self._require_true()
        return [self._users[name] for name in sorted(self._users)]

    async def read_again(self) -> None:
        """Know what is true now: after a change, before its answer."""
        async with self._turn:
            self._learn(await (await self._open()).everything())

    async def close(self) -> None:
        """Ask the database no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _narrowed(self, key: Key) -> Grant:
        """A key never may more than the user may now whose it is."""
        if key.user is None:
            return key.grant
        owner = self._users.get(key.user)
        if owner is None:
            raise Unauthorized(f"The key {key.name!r} is nobody's any more.")
        role = max(key.grant.role, owner.role, key=ROLES.index)  # the one that may least
        return Grant(role, key.grant.models, key.grant.routes)

    async def _require_true(self) -> None:
        if time.monotonic() - self._true_at < BLIND_S:
            return
        try:
            await self.read_again()
        except NoiboError as exc:
            raise DatabaseError(
                "It cannot be checked who is asking: the database does not answer.",
                next_step="Try again in a moment; the server's log says why.",
            ) from exc
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def _learn(self, found: Everything) -> None:
        self._keys = {key.id: key for key in found.keys}
        self._users = {one.name: one for one in found.users}
        self._sessions = {one.digest: one for one in found.sessions}
        self._version = found.version
        self._true_at = time.monotonic()

    async def _watch(self) -> None:
        """See what other servers change."""
        while True:
            await asyncio.sleep(OTHERS_S)
            try:
                if await (await self._open()).version() != self._version:
                    await self.read_again()
                else:
                    self._true_at = time.monotonic()
            except NoiboError as exc:
                log.warning("Keys cannot be looked up: %s", exc.message)
            except Exception:
                log.exception("Keys cannot be looked up; it is tried again")
