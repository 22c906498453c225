"""`noibo engines`: what runs models here and elsewhere, and what each use is for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from noibo.cli.background import connect
from noibo.cli.context import settings
from noibo.cli.engines_install import install, print_installed, remove
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.errors import ServerUnreachable
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.wire.engines import EngineRow, Engines, PlaceRow, UseRow

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List the engines that run models, and what each can do here.",
)
_ENGINES: Final = [
    Column("engine"),
    Column("version", most=34),
    Column("does", most=34),
    Column("devices"),
]
_PLACES: Final = [Column("asked by"), Column("at"), Column("models", most=30), Column("answers")]
_USES: Final = [Column("use"), Column("model"), Column("engine"), Column("problem")]


app.command("install")(install)
app.command("remove")(remove)


@app.callback()
def _group() -> None:
    """List the engines that run models, and what each can do here."""


@app.command("list")
def list_engines(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List engines, programs elsewhere that are asked, and uses."""
    tree = settings()
    try:
        with connect(tree) as client:
            found = client.engines()
    except ServerUnreachable:
        found = asyncio.run(_look(tree))
    if json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    _print(found)
    print_installed(tree)


async def _look(tree: Settings) -> Engines:
    """The same without a server."""
    from noibo.assembly import open_engines, open_lookup
    from noibo.engines.listing import listed
    from noibo.engines.upstream import new_session

    async with new_session() as session:
        resolve = open_lookup(tree).resolve
        return await listed(tree, open_engines(tree), resolve, session, serves=False)


def _print(found: Engines) -> None:
    print_table(_ENGINES, [_engine(row, found.default) for row in found.engines])
    for row in found.engines:
        if row.install:
            print_paragraph(f"{row.name}: {row.install}")
    if found.places:
        print()
        print_table(_PLACES, [_place(row) for row in found.places])
    if found.uses:
        print()
        print_table(_USES, [_use(row) for row in found.uses])


def _engine(row: EngineRow, default: str) -> list[str]:
    name = f"{row.name} (default)" if row.name == default else row.name
    does = [
        verb if how == "native" else f"{verb} ({how})"
        for verb, how in row.verbs.items()
        if how != "none"
    ]
    return [name, row.version or "not here", ", ".join(does), ", ".join(row.devices) or "-"]


def _place(row: PlaceRow) -> list[str]:
    breaker = f"; breaker {row.breaker}" if row.breaker not in {"", "closed"} else ""
    answers = "yes" if row.answers else "no"
    return [row.engine, row.url, ", ".join(row.models) or "-", f"{answers}: {row.said}{breaker}"]


def _use(row: UseRow) -> list[str]:
    return [f"use:{row.use}", row.model, row.engine or "its own", row.problem or "-"]
