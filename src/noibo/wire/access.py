"""Shapes of keys, users and sessions under `/noibo/v1/`, shared by the gateway and the client."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without its secret. `user`: whose it is, if somebody's. `state`: it holds, or why it
    does not."""

    id: str
    name: str
    user: str | None
    role: str
    models: list[str]
    routes: list[str]
    created_at: float
    expires_at: float | None
    state: str


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made. `key` is told this once, and kept nowhere."""

    key: str
    row: KeyRow


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made. `models`: patterns of names; `routes`: paths, or permissions; empty: all
    that the role may. What it stores belongs to `user`, or where none is named, to the key."""

    name: str
    role: str = "user"
    models: Sequence[str] = ()
    routes: Sequence[str] = ()
    user: str | None = None
    lasts_s: float | None = None


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """One user."""

    name: str
    role: str
    created_at: float


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `page_token` is what a page sends with every change (X-Noibo-CSRF); empty for who
    came with a key, or needs none."""

    name: str
    owner: str
    role: str
    models: list[str]
    routes: list[str]
    page_token: str = ""
