"""Who may ask the server: keys and users."""

from __future__ import annotations

from noibo.client.calls import Calls
from noibo.client.connection import AsyncConnection, Connection
from noibo.wire.access import KeyRow, KeyWanted, NewKey, SessionRow, UserRow
from noibo.wire.management import Done


class Admitting(Connection):
    """Gives out keys and keeps users. All but `who_am_i` is for admins."""

    def who_am_i(self) -> SessionRow:
        """Who asks, and what they may."""
        return self._send(Calls.who_am_i)

    def keys(self) -> list[KeyRow]:
        """All keys, without their secrets."""
        return self._send(Calls.keys)

    def make_key(self, wanted: KeyWanted) -> NewKey:
        """A new key; its text is told this once."""
        return self._send(Calls.make_key(wanted))

    def revoke_key(self, key: str) -> KeyRow:
        """A key, by its id or name, holds no more from now on."""
        return self._send(Calls.revoke_key(key))

    def users(self) -> list[UserRow]:
        """All users."""
        return self._send(Calls.users)

    def add_user(self, name: str, password: str, role: str = "user") -> UserRow:
        """A new user."""
        return self._send(Calls.add_user(name, password, role))

    def change_user(
        self, name: str, password: str | None = None, role: str | None = None
    ) -> UserRow:
        """Another password or role; the sessions of that user end."""
        return self._send(Calls.change_user(name, password, role))

    def remove_user(self, name: str) -> Done:
        """A user is gone, with sessions and keys."""
        return self._send(Calls.remove_user(name))


class AsyncAdmitting(AsyncConnection):
    """The same as `Admitting`, on an event loop."""

    async def who_am_i(self) -> SessionRow:
        """Who asks, and what they may."""
        return await self._send(Calls.who_am_i)

    async def keys(self) -> list[KeyRow]:
        """All keys, without their secrets."""
        return await self._send(Calls.keys)

    async def make_key(self, wanted: KeyWanted) -> NewKey:
        """A new key; its text is told this once."""
        return await self._send(Calls.make_key(wanted))

    async def revoke_key(self, key: str) -> KeyRow:
        """A key, by its id or name, holds no more from now on."""
        return await self._send(Calls.revoke_key(key))

    async def users(self) -> list[UserRow]:
        """All users."""
        return await self._send(Calls.users)

    async def add_user(self, name: str, password: str, role: str = "user") -> UserRow:
        """A new user."""
        return await self._send(Calls.add_user(name, password, role))

    async def change_user(
        self, name: str, password: str | None = None, role: str | None = None
    ) -> UserRow:
        """Another password or role; the sessions of that user end."""
        return await self._send(Calls.change_user(name, password, role))

    async def remove_user(self, name: str) -> Done:
        """A user is gone, with sessions and keys."""
        return await self._send(Calls.remove_user(name))
