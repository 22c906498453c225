"""Gives out keys, keeps users, signs them in. What it says holds when it has said it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from noibo.access import api_key, password
from noibo.access.api_key import Key
from noibo.access.audit import AuditLog, Details
from noibo.access.grant import Grant, Role
from noibo.access.keyring import Keyring, Open
from noibo.access.lockout import Lockout
from noibo.access.user import Session, User, digest, new_token, require_name
from noibo.errors import NotFound, TooManyAttempts, Unauthorized, UsageError
from noibo.wire.access import KeyRow, NewKey, UserRow
from noibo.wire.management import Done

_LONGEST_NAME: Final = 80
MOST_GUESSING: Final = 20  # at one moment: a guess takes a tenth of a second


class Office:
    """Changes what the keyring knows. `audit`: where each change is written down first."""

    def __init__(self, open_records: Open, audit: AuditLog | None = None) -> None:
        self._open = open_records
        self.audit = audit
        self.ring = Keyring(open_records)
        self._lockout = Lockout()
        self._guesses = asyncio.Semaphore(2)  # each takes a core for a while, and 32 MiB
        self._guessing = 0

    # ── keys ────────────────────────────────────────────────────────────────

    async def make_key(
        self,
        name: str,
        grant: Grant,
        *,
        user: str | None = None,
        lasts_s: float | None = None,
    ) -> NewKey:
        """A new key. What it stores is the user's, or where none is named, its own."""
        name = name.strip()
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise UsageError(f"A key's name has 1 to {_LONGEST_NAME} printable characters.")
        if lasts_s is not None and not 0 < lasts_s < 1e10:
            raise UsageError("A key lasts for some time from now, or for ever.")
        minted, now = api_key.mint(), time.time()
        key = Key(
            id=minted.id,
            name=name,
            owner=user or api_key.owner_of(minted.id),
            grant=grant,
            digest=minted.digest,
            created_at=now,
            expires_at=None if lasts_s is None else now + lasts_s,
        )
        details: Details = {  # not its name: rows of a chain cannot be taken back
            "owner": key.owner,
            "role": grant.role,
            "models": " ".join(grant.models),
            "routes": " ".join(grant.routes),
            "expires_at": key.expires_at,
        }
        async with self._act("key.make", f"key:{key.id}", details):
            await (await self._open()).add_key(key)
        await self.ring.read_again()
        return NewKey(key=minted.text, row=_key_row(key, now))

    async def revoke_key(self, which: str) -> KeyRow:
        """A key, by its id or name, holds no more. Raises `NotFound`."""
        async with self._act("key.revoke", await self._told_key(which)):
            found = await (await self._open()).revoke_key(which)
        await self.ring.read_again()
        return next(row for row in await self.keys() if row.id == found)

    async def _told_key(self, which: str) -> str:
        """A key for the log: by its id, if there is such a key."""
        keys = [key for key in await self.ring.keys() if which in {key.id, key.name}]
        known = sorted(keys, key=lambda key: (key.id != which, key.revoked_at is not None))
        return f"key:{known[0].id}" if known else which

    async def keys(self) -> list[KeyRow]:
        """All keys, those too that hold no more."""
        now = time.time()
        return [_key_row(key, now) for key in await self.ring.keys()]

    async def somebody_may_come(self) -> bool:
        """True if there is a key that holds, or a user."""
        now = time.time()
        held = any(not key.fault(now) for key in await self.ring.keys())
        return held or bool(await self.ring.users())

    # ── users ───────────────────────────────────────────────────────────────

    async def add_user(self, name: str, role: Role, word: str) -> UserRow:
        """A new user. Raises `NameTaken`."""
        require_name(name)
        grant = Grant(role)
        hashed = await asyncio.to_thread(password.hashed, word)
        user = User(name, grant.role, hashed, time.time())
        async with self._act("user.add", f"user:{name}", {"role": grant.role}):
            await (await self._open()).add_user(user)
        await self.ring.read_again()
        return _user_row(user)

    async def change_user(
        self, name: str, role: Role | None = None, word: str | None = None
    ) -> UserRow:
        """Another role or password; the sessions of that user end. Raises `NotFound`."""
        changes: dict[str, str] = {}
        if role is not None:
            changes["role"] = Grant(role).role
        if word is not None:
            changes["password"] = await asyncio.to_thread(password.hashed, word)
        if changes:
            said: Details = {"role": role, "password": word is not None}
            async with self._act("user.change", f"user:{name}", said):
                await (await self._open()).change_user(name, **changes)
        await self.ring.read_again()
        user = await self.ring.user(name)
        if user is None:
            raise NotFound(f"There is no user {name[:80]!r}.")
        return _user_row(user)

    async def remove_user(self, name: str) -> Done:
        """A user is gone, with sessions and keys. Raises `NotFound`."""
        async with self._act("user.remove", f"user:{name}"):
            await (await self._open()).remove_user(name)
        await self.ring.read_again()
        return Done(done=f"{name} is no user any more; what {name} stored stays.")

    async def users(self) -> list[UserRow]:
        """All users."""
        return [_user_row(user) for user in await self.ring.users()]

    def _act(
        self, what: str, about: str, details: Details | None = None
    ) -> contextlib.AbstractAsyncContextManager[object]:
        if self.audit is None:
            return contextlib.nullcontext()
        return self.audit.act(what, about, details)

    # ── sessions ────────────────────────────────────────────────────────────

    async def sign_in(self, name: str, word: str, address: str) -> str:
        """What goes into the cookie. Raises `Unauthorized`, the same for a wrong name and a wrong
        password, and `TooManyAttempts`."""
        user = await self._proved(name, word, address)
        token, session = _new_session(user)
        if not await (await self._open()).add_session(session, user.password):
            raise _wrong()  # it was changed at this moment
        await self._welcome(name, address)
        return token

    async def change_own_password(self, name: str, word: str, new: str, address: str) -> str:
        """A user's, by themselves: their sessions end, and a new one begins, for its cookie. Raises
        as `sign_in`."""
        password.require_length(new)
        user = await self._proved(name, word, address)
        token, session = _new_session(user)
        hashed = await asyncio.to_thread(password.hashed, new)
        if not await (await self._open()).replace_password(session, user.password, hashed):
            raise _wrong()  # it was changed at this moment
        await self._welcome(name, address)
        return token

    async def _welcome(self, name: str, address: str) -> None:
        self._lockout.forgive(name, address)
        await self.ring.read_again()

    async def _proved(self, name: str, word: str, address: str) -> User:
        if self._guessing >= MOST_GUESSING:
            raise TooManyAttempts(
                "Too many want to sign in at this moment.",
                next_step="Try again in a moment.",
                retry_after_s=MOST_GUESSING * 0.1,
            )
        self._lockout.require(name, address, time.monotonic())
        self._guessing += 1
        try:
            user = await self.ring.user(name)
            async with self._guesses:
                kept = user.password if user else None
                right = await asyncio.to_thread(password.matches, word, kept)
        finally:
            self._guessing -= 1
        if user is None or not right:
            raise _wrong()
        return user

    async def sign_out(self, token: str) -> None:
        """A session ends."""
        await (await self._open()).end_session(digest(token))
        await self.ring.read_again()


def _new_session(user: User) -> tuple[str, Session]:
    """What goes into the cookie, and what is kept of it."""
    token, now = new_token(), time.time()
    return token, Session(digest(token), user.name, now, now)


def _wrong() -> Unauthorized:
    return Unauthorized(
        "The name or the password is wrong.",
        next_step="Try again; an admin gives out new ones: `noibo user password`.",
    )


def _key_row(key: Key, now: float) -> KeyRow:
    return KeyRow(
        id=key.id,
        name=key.name,
        user=key.user,
        role=key.grant.role,
        models=list(key.grant.models),
        routes=list(key.grant.routes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        state=key.state(now),
    )


def _user_row(user: User) -> UserRow:
    return UserRow(name=user.name, role=user.role, created_at=user.created_at)
