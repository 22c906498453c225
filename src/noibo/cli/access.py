"""`noibo key` and `noibo user`: who may ask this server from elsewhere."""

from __future__ import annotations

import sys
import time
from json import dumps
from typing import Annotated, Any

import msgspec
import typer

from noibo.access.grant import grant_of
from noibo.cli.access_service import access_service
from noibo.cli.context import settings
from noibo.cli.table import Column, print_table
from noibo.errors import UsageError
from noibo.wire.access import KeyRow, KeyWanted

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Role = Annotated[str, typer.Option(help="admin, developer or user.")]
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

key = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
user = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@key.callback()
def keys() -> None:
    """Give out and revoke API keys."""


@user.callback()
def users() -> None:
    """Add and remove the users of this server."""


@key.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What to call it: who or what will use it.")],
    role: Role = "user",
    model: Annotated[
        list[str] | None, typer.Option(help="Only these models; patterns as qwen*; repeatable.")
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these routes: paths as /v1/embeddings, or ask, keep, look, manage, admin."
        ),
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--user", help="Whose it is; what it stores is theirs.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="How long it holds: 12h, 30d, 8w.")] = None,
    json: Json = False,
) -> None:
    """Make a key; it is shown this once."""
    grant = grant_of(role, model or (), route or ())
    wanted = KeyWanted(
        name=name,
        role=grant.role,
        models=grant.models,
        routes=grant.routes,
        user=owner,
        lasts_s=None if expires is None else _seconds(expires),
    )
    with access_service(settings()) as service:
        made = service.make_key(wanted)
    if json:
        _print_json(made)
        return
    print(made.key)
    print(
        "This is shown once; noibo keeps no copy. Send it as `Authorization: Bearer …`.",
        file=sys.stderr,
    )


@key.command("list")
def list_keys(json: Json = False) -> None:
    """List the keys, without their secrets."""
    with access_service(settings()) as service:
        rows = service.keys()
    if json:
        _print_json(rows)
    elif not rows:
        print("There is no key yet; `noibo key create NAME` makes one.")
    else:
        titles = ("NAME", "ID", "ROLE", "USER", "MODELS", "ROUTES", "EXPIRES", "STATE")
        print_table([Column(title) for title in titles], [_cells(row) for row in rows])


@key.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(help="Its name, or its id.")]) -> None:
    """Revoke a key: it holds no more from now on."""
    with access_service(settings()) as service:
        row = service.revoke_key(name)
    print(f"The key {row.name!r} ({row.id}) holds no more.")


@user.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="Small letters, digits, . _ @ -.")],
    role: Role = "user",
) -> None:
    """Add a user; asks for a password, or reads it from a pipe."""
    grant, password = grant_of(role, (), ()), _password()
    with access_service(settings()) as service:
        row = service.add_user(name, password, grant.role)
    print(f"{row.name} may sign in as {row.role}.")


@user.command("list")
def list_users(json: Json = False) -> None:
    """List the users."""
    with access_service(settings()) as service:
        rows = service.users()
    if json:
        _print_json(rows)
    elif not rows:
        print("There is no user yet; `noibo user add NAME` adds one.")
    else:
        print_table(
            [Column("NAME"), Column("ROLE"), Column("SINCE")],
            [(row.name, row.role, _day(row.created_at)) for row in rows],
        )


@user.command("password")
def change_password(name: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Give a user another password; their sessions end."""
    password = _password()
    with access_service(settings()) as service:
        service.change_user(name, password=password)
    print(f"{name} has another password; nobody is signed in as {name} any more.")


@user.command("role")
def change_role(
    name: Annotated[str, typer.Argument(help="Whose.")],
    role: Annotated[str, typer.Argument(help="admin, developer or user.")],
) -> None:
    """Give a user another role; their sessions end."""
    with access_service(settings()) as service:
        row = service.change_user(name, role=grant_of(role, (), ()).role)
    print(f"{row.name} is {row.role} now.")


@user.command("rm")
def remove_user(name: Annotated[str, typer.Argument(help="Whom.")]) -> None:
    """Remove a user, with sessions and keys; what they stored stays."""
    with access_service(settings()) as service:
        print(service.remove_user(name).done)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = typer.prompt("Password", hide_input=True, err=True)
    if typer.prompt("Again", hide_input=True, err=True) != first:
        raise UsageError("These are two different passwords.")
    return str(first)


def _seconds(said: str) -> float:
    number, unit = said[:-1], said[-1:]
    if not number.isdecimal() or unit not in _UNITS:
        raise UsageError(
            f"{said[:40]!r} is no length of time.", next_step="Say it as 90m, 12h, 30d or 8w."
        )
    return int(number) * _UNITS[unit]


def _cells(row: KeyRow) -> tuple[str, ...]:
    return (
        row.name,
        row.id,
        row.role,
        row.user or "",
        " ".join(row.models) or "all",
        " ".join(row.routes) or "all",
        "never" if row.expires_at is None else _day(row.expires_at),
        row.state,
    )


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _print_json(value: Any) -> None:
    print(dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))
