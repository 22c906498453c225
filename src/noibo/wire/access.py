"""The shapes of keys, users and sessions under `/noibo/v1/`. Shared by the gateway and the client."""

from __future__ import annotations

import msgspec


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without its secret. `state`: it holds, or why it does not."""

    id: str
    name: str
    owner: str
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
