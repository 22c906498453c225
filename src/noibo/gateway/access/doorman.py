"""Lets requests in: finds who asks, and whether they may, before any body is read.

On this machine nobody needs a key, and one that is not noibo's is ignored: clients send whatever
they were given. A key of noibo's counts everywhere: its scope, its end, its revocation. What comes
from elsewhere (`Arrival.remote`) needs a key or a session; with `server.require_key`, all do.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Final

from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from noibo.access import api_key
from noibo.access.audit import DONE, FAILED
from noibo.access.grant import Permission
from noibo.access.user import LOCAL, page_token
from noibo.errors import Forbidden, LedgerError, NoiboError, Unauthorized
from noibo.gateway.access.arrival import Arrival
from noibo.gateway.access.identity import Identity
from noibo.gateway.access.permissions import needed, require
from noibo.gateway.services import Services, services_in
from noibo.gateway.watching.places import NOWHERE, method_of
from noibo.gateway.watching.record import current

log = logging.getLogger(__name__)

COOKIE: Final = "noibo_session"
PAGE_TOKEN: Final = "x-noibo-csrf"  # noqa: S105 - the name of a header
_SAID_BY_THE_OFFICE: Final = ("/noibo/v1/keys", "/noibo/v1/users")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Doorman:
    """ASGI middleware. `respond` says an error as the API says it that was asked."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, NoiboError], Response]) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app, act = self._app, None
        if scope["type"] == "http":
            try:
                act = await self._let_in(scope)
            except NoiboError as refusal:
                app = self._respond(Request(scope), refusal)
        if act is None:
            await app(scope, receive, send)
            return
        try:
            await app(scope, receive, send)
        finally:
            await _write_end(scope, act)

    async def _let_in(self, scope: Scope) -> int | None:
        """The number of the act in the audit log, where this is one."""
        if Identity.known(scope):  # of our own, or this request under its other path: judged before
            Identity.of(scope).put(scope)
            return None
        identity = await self._who(scope, Arrival.of(scope))
        identity.put(scope)
        require(identity.grant, scope["method"], scope["path"], identity.said)
        return await _write_down(scope)

    async def _who(self, scope: Scope, arrival: Arrival) -> Identity:
        services, token, near = services_in(scope), sent_key(arrival), not arrival.remote
        asked = needed(scope["method"], scope["path"])
        if api_key.is_ours(token):
            key, grant = await services.office.ring.key(token)
            by = f"key:{key.id}"
            said = f"The key {key.name!r}"
            return Identity(by, key.owner, grant, by, said, near, key.name)
        if (cookie := cookie_of(scope)) and (found := await _session(services, cookie, near)):
            if scope["method"] not in _READS and asked is not None:
                _require_page_token(arrival, cookie)
            return found
        here = near and token and hmac.compare_digest(token.encode(), services.home_token.encode())
        if here or asked is None:
            return Identity(_name(scope, ""), near=near)
        if near and not services.settings.server.require_key:
            return Identity(_name(scope, token), near=near)
        raise Unauthorized(
            "That is no key of this server." if token else "This server wants a key.",
            next_step="Send `Authorization: Bearer noibo_…`; `noibo key create NAME` makes one on "
            "the machine that it runs on.",
        )


async def _write_down(scope: Scope) -> int | None:
    """What only admins may do is written down, by its route: a path is the caller's words. Of keys
    and users, the office says more itself; where there is no route nothing is done."""
    method, path = scope["method"], scope["path"]
    if method in _READS or needed(method, path) is not Permission.ADMIN:
        return None
    audit, route = services_in(scope).office.audit, current().route
    if audit is None or route == NOWHERE or path.startswith(_SAID_BY_THE_OFFICE):
        return None
    about = f"{method_of(method)} {route}"
    try:
        return await audit.begin("route", about)
    except LedgerError as error:  # a server must be stoppable on a full disk too
        log.error("%s is not in the audit log: %s", about, error)
        return None


async def _write_end(scope: Scope, act: int) -> None:
    """How it ended; and what it was done to, by the name that this has here."""
    audit, record = services_in(scope).office.audit, current()
    assert audit is not None  # noqa: S101 - the act is in it
    done = 0 < record.status < 400 and not (record.error or record.left)
    if done:
        await audit.end(act, DONE, {"name": record.acted_on} if record.acted_on else None)
    else:
        await audit.end(act, FAILED, {"why": record.error or str(record.status)})


async def _session(services: Services, cookie: str, near: bool) -> Identity | None:
    ring = services.office.ring
    session = await ring.session(cookie)
    user = await ring.user(session.user) if session else None
    return Identity.of_user(user, near=near) if user else None


def sent_key(arrival: Arrival) -> str:
    """The key that a request carries, in either header; one of noibo's first. Empty without one."""
    scheme, _, token = arrival.header(b"authorization").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    other = arrival.header(b"x-api-key").strip()
    return other if api_key.is_ours(other) or not bearer else bearer


def session_cookie(scope: Scope) -> str:
    """What the cookie is called. Over TLS a browser takes this name from this host alone, so that
    no neighbour under the same domain can plant a session of its own."""
    return f"__Host-{COOKIE}" if scope["scheme"] == "https" else COOKIE


def cookie_of(scope: Scope) -> str:
    """What its session's cookie says; empty without one."""
    said = Arrival.of(scope).header(b"cookie")
    return cookie_parser(said).get(session_cookie(scope), "") if COOKIE in said else ""


def _require_page_token(arrival: Arrival, cookie: str) -> None:
    said = arrival.header(PAGE_TOKEN.encode())
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
