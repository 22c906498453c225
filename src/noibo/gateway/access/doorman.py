"""Lets requests in: finds who asks, and whether they may, before any body is read.

On this machine nobody needs a key, and one that is not noibo's is ignored: clients send whatever
they were given. A key of noibo's counts everywhere: its scope, its end, its revocation. What comes
from another address, or to another than loopback, or through a proxy, needs a key or a session.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from noibo.access import api_key
from noibo.access.grant import Permission
from noibo.access.user import page_token
from noibo.errors import Forbidden, NoiboError, Unauthorized
from noibo.gateway.access.identity import LOCAL, Identity
from noibo.gateway.access.permissions import needed, require
from noibo.gateway.services import Services

COOKIE: Final = "noibo_session"
PAGE_TOKEN: Final = "x-noibo-csrf"
# A proxy says one of these; a program on this machine that asks for itself says none.
_FORWARDED: Final = (
    *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    *("via", "x-forwarded", "x-client-ip", "true-client-ip", "cf-connecting-ip"),
)
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Doorman:
    """ASGI middleware. `respond` says an error as the API says it that was asked."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, NoiboError], Response]) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and not Identity.known(scope):
            try:
                await self._let_in(scope, Headers(scope=scope))
            except NoiboError as refusal:
                app = self._respond(Request(scope), refusal)
        await app(scope, receive, send)

    async def _let_in(self, scope: Scope, headers: Headers) -> None:
        permission = needed(scope["method"], scope["path"])
        identity = await self._who(scope, headers, permission)
        identity.put(scope)
        require(identity.grant, scope["method"], scope["path"], identity.said)

    async def _who(
        self, scope: Scope, headers: Headers, permission: Permission | None
    ) -> Identity:
        token = sent_key(headers)
        if api_key.is_ours(token):
            key, grant = await _services(scope).office.ring.key(token)
            by = f"key:{key.id}"
            return Identity(by, key.owner, grant, by, f"The key {key.name!r}")
        if (cookie := _cookie(headers)) and (found := await self._session(scope, cookie)):
            if scope["method"] not in _READS:
                _require_page_token(headers, cookie)
            return found
        strict = permission is not None and _services(scope).settings.server.require_key
        if permission is not None and (strict or is_remote(scope, headers)):
            raise Unauthorized(
                "This server wants a key." if not token else "That is no key of this server.",
                next_step="Send `Authorization: Bearer noibo_…`; `noibo key create NAME` makes one "
                "on the machine that it runs on.",
            )
        return Identity(_name(scope, token), LOCAL)

    async def _session(self, scope: Scope, cookie: str) -> Identity | None:
        ring = _services(scope).office.ring
        session = await ring.session(cookie)
        user = await ring.user(session.user) if session else None
        if user is None:
            return None
        by = f"user:{user.name}"
        return Identity(by, user.name, user.grant, by, f"The user {user.name!r}")


def _services(scope: Scope) -> Services:
    services = scope["app"].state.services
    assert isinstance(services, Services)  # noqa: S101 - put there by create_app
    return services


def sent_key(headers: Headers) -> str:
    """The key that a request carries; empty without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else ""
    return key or headers.get("x-api-key", "").strip()


def is_remote(scope: Scope, headers: Headers) -> bool:
    """True for what did not come from this machine to this machine, or not by itself."""
    ends = scope.get("client"), scope.get("server")
    return not all(end and _is_loopback(end[0]) for end in ends) or any(
        name in headers for name in _FORWARDED
    )


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _cookie(headers: Headers) -> str:
    said = headers.get("cookie", "")
    if COOKIE not in said:
        return ""
    try:
        found = SimpleCookie(said).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _require_page_token(headers: Headers, cookie: str) -> None:
    said = headers.get(PAGE_TOKEN, "")
    if not hmac.compare_digest(said.encode(), page_token(cookie).encode()):
        raise Forbidden(
            f"A page that is signed in sends the header {PAGE_TOKEN} with what it changes.",
            next_step="GET /noibo/v1/session says what to send; programs use a key instead.",
        )


def _name(scope: Scope, token: str) -> str:
    if token:
        return "key:" + hashlib.sha256(token.encode()).hexdigest()[:8]
    client = scope.get("client")
    return client[0] if client else LOCAL
