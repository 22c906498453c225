"""Keys, users and sessions over `/noibo/v1/`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from noibo.access.grant import Role, grant_of
from noibo.access.office import Office
from noibo.access.user import LONGEST_S, page_token
from noibo.addresses import is_address, is_own
from noibo.errors import Unauthorized, UsageError
from noibo.gateway.access.arrival import Arrival
from noibo.gateway.access.doorman import cookie_of, session_cookie
from noibo.gateway.access.identity import Identity
from noibo.gateway.management.managed import as_json
from noibo.gateway.management.routes_server import guarded
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import SmallRoute
from noibo.wire import management
from noibo.wire.access import SessionRow

router = APIRouter(prefix=management.ROOT, tags=["access"], route_class=SmallRoute)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KeyBody(_Body):
    """A key to be made. `models`: patterns of names; `routes`: paths, or permissions."""

    name: str = Field(min_length=1, max_length=80)
    role: Role = "user"
    models: list[str] = Field(default=[], max_length=100)
    routes: list[str] = Field(default=[], max_length=100)
    user: str | None = None
    lasts_s: float | None = Field(default=None, gt=0)


class UserBody(_Body):
    """A user to be added."""

    name: str = Field(max_length=64)
    role: Role = "user"
    password: str = Field(max_length=1024)


class UserChange(_Body):
    """What is to be different."""

    role: Role | None = None
    password: str | None = Field(default=None, max_length=1024)


class SignInBody(_Body):
    """Who signs in."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=1024)


class PasswordChange(_Body):
    """A user's password as it is, and as it is to be."""

    password: str = Field(max_length=1024)
    new_password: str = Field(max_length=1024)


def _office(request: Request) -> Office:
    return services_of(request).office


# ── keys ────────────────────────────────────────────────────────────────────


@router.get("/keys")
async def list_keys(request: Request) -> Response:
    """All keys, without their secrets."""
    return as_json(await _office(request).keys())


@router.post("/keys", dependencies=guarded)
async def make_key(request: Request, body: KeyBody) -> Response:
    """Make a key. It is told this once."""
    made = await _office(request).make_key(
        body.name,
        grant_of(body.role, body.models, body.routes),
        user=body.user,
        lasts_s=body.lasts_s,
    )
    return _secret(as_json(made, 201))


@router.delete("/keys/{key}", dependencies=guarded)
async def revoke_key(request: Request, key: str) -> Response:
    """Revoke a key, by its id or name: it holds no more from now on."""
    return as_json(await _office(request).revoke_key(key))


# ── users ───────────────────────────────────────────────────────────────────


@router.get("/users")
async def list_users(request: Request) -> Response:
    """All users."""
    return as_json(await _office(request).users())


@router.post("/users", dependencies=guarded)
async def add_user(request: Request, body: UserBody) -> Response:
    """Add a user."""
    return as_json(await _office(request).add_user(body.name, body.role, body.password), 201)


@router.patch("/users/{name}", dependencies=guarded)
async def change_user(request: Request, name: str, body: UserChange) -> Response:
    """Give a user another role or password; all their sessions end."""
    return as_json(await _office(request).change_user(name, body.role, body.password))


@router.delete("/users/{name}", dependencies=guarded)
async def remove_user(request: Request, name: str) -> Response:
    """Remove a user, with sessions and keys."""
    return as_json(await _office(request).remove_user(name))


# ── sessions ────────────────────────────────────────────────────────────────


@router.post("/session")
async def sign_in(request: Request, body: SignInBody) -> Response:
    """Sign in: a cookie that no script can read, and what pages send with every change."""
    token = await _office(request).sign_in(body.name, body.password, _address(request))
    return await _signed_in(request, body.name, token)


@router.patch("/session")
async def change_own_password(request: Request, body: PasswordChange) -> Response:
    """A new password for who is signed in; all their other sessions end."""
    who = Identity.of(request.scope)
    if not who.user:
        raise UsageError(
            "Who came with a key, or needs none, has no password here.",
            next_step="Sign in first: POST /noibo/v1/session.",
        )
    token = await _office(request).change_own_password(
        who.user, body.password, body.new_password, _address(request)
    )
    return await _signed_in(request, who.user, token)


@router.get("/session")
async def who_am_i(request: Request) -> Response:
    """Who asks, and what they may."""
    who, cookie = Identity.of(request.scope), cookie_of(request.scope)
    return _secret(as_json(_session_row(who, cookie if who.user else "")))


@router.delete("/session")
async def sign_out(request: Request) -> Response:
    """Sign out."""
    if cookie := cookie_of(request.scope):
        await _office(request).sign_out(cookie)
    response = as_json(management.Done(done="signed out"))
    response.delete_cookie(session_cookie(request.scope), secure=request.scope["scheme"] == "https")
    return response


async def _signed_in(request: Request, name: str, token: str) -> Response:
    user = await _office(request).ring.user(name)
    if user is None:
        raise Unauthorized(f"The user {name!r} was removed at this moment.")
    response = _secret(as_json(_session_row(Identity.of_user(user, near=False), token)))
    response.set_cookie(
        session_cookie(request.scope),
        token,
        max_age=int(LONGEST_S),
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )
    return response


def _session_row(who: Identity, cookie: str) -> SessionRow:
    return SessionRow(
        name=who.name,
        owner=who.owner,
        role=who.grant.role,
        models=list(who.grant.models),
        routes=list(who.grant.routes),
        page_token=page_token(cookie) if cookie else "",
    )


def _address(request: Request) -> str:
    """Where who signs in is: a proxy on this machine says it, and no other is believed."""
    peer = request.client.host if request.client else ""
    said = Arrival.of(request.scope).header(b"x-forwarded-for").rpartition(",")[2].strip()
    return said if is_own(peer) and is_address(said) else peer


def _secret(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
