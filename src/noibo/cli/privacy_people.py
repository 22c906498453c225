"""`noibo privacy find-person, export-person, erase-person`: what is kept of somebody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_people_view import (
    counted,
    print_counted,
    print_erased,
    print_found,
    print_unchanged,
)
from noibo.cli.privacy_view import Language
from noibo.errors import UsageError
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.database.database import Database
    from noibo.holdings.finding import Found
    from noibo.holdings.steward import Steward
    from noibo.holdings.wanted import Wanted

Text = Annotated[
    list[str] | None,
    typer.Option(help="A name, number or address of the person; repeatable."),
]
User = Annotated[str | None, typer.Option(help="A user, a key as key:ID, or local.")]
Loose = Annotated[bool, typer.Option("--loose", help="Also without its marks: Nguyen for Nguyễn.")]
In = Annotated[Language, typer.Option(help="Language of the words around what was found.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class _Room:
    """What a command works with."""

    tree: Settings
    database: Database
    steward: Steward


def find_person(
    text: Text = None, loose: Loose = False, lang: In = Language.en, json: Json = False
) -> None:
    """Show where somebody is named in what is stored, whoever stored it."""
    from noibo.holdings.wanted import Wanted

    wanted = Wanted.of(text or (), loose=loose)

    async def work() -> Found:
        async with _room() as room:
            return await room.steward.find(wanted)

    print_found(asyncio.run(work()), lang, json)


def export_person(
    out: Annotated[Path, typer.Argument(help="The zip that is to be written.")],
    user: User = None,
    text: Text = None,
    loose: Loose = False,
) -> None:
    """Write all that is kept of somebody into a zip."""
    from noibo.holdings.wanted import Wanted

    _require_one(user, text)
    wanted = Wanted.of(text or (), loose=loose) if user is None else None

    async def work() -> dict[str, int]:
        async with _room() as room, _noted(room.tree, "person.export", user, wanted) as ended:
            if wanted is None:
                counts = await _export_user(room, user or "", out)
            else:
                counts = await _export_text(room, wanted, out)
            ended.update(counts)
            return counts

    counts = asyncio.run(work())
    print(f"{out}: {counted(counts) or 'nothing is kept of that person here'}.")


def erase_person(
    user: User = None,
    text: Text = None,
    loose: Loose = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase; else it is only shown what would go.")
    ] = False,
    lang: In = Language.en,
    json: Json = False,
) -> None:
    """Erase what is kept of somebody; shows it first."""
    from noibo.holdings.wanted import Wanted

    _require_one(user, text)
    wanted = Wanted.of(text or (), loose=loose) if user is None else None
    asyncio.run(_erase(user, wanted, yes, lang, json))


async def _erase(
    user: str | None, wanted: Wanted | None, yes: bool, lang: Language, json: bool
) -> None:
    async with _room() as room:
        if wanted is not None:
            found = await room.steward.find(wanted)
            counts: dict[str, int] = found.counts()
            if not yes:
                print_found(found, lang, json)
        else:
            counts = await room.steward.count_of(user or "")
            if not yes:
                print_counted(counts, lang, json)
        if not yes:
            if counts and not json:
                print_unchanged(lang)
            return
        async with _noted(room.tree, "person.erase", user, wanted, counts) as ended:
            if wanted is not None:
                erased = await room.steward.erase_text(wanted, found)
            else:
                erased = await room.steward.erase_user(user or "")
            ended.update({f"erased_{kind}": count for kind, count in erased.counts.items()})
    print_erased(erased, lang, json)


@contextlib.asynccontextmanager
async def _noted(
    tree: Settings,
    what: str,
    user: str | None,
    wanted: Wanted | None,
    counts: dict[str, int] | None = None,
) -> AsyncIterator[dict[str, int]]:
    """The audit log says what was done to somebody, and not to whom: a pseudonym, which who knows
    the name can compare. What it came to goes into what this gives."""
    from noibo.access.audit import DONE, AuditLog
    from noibo.ledger.node import node_of

    name = user if wanted is None else "\n".join(wanted.terms)
    node = await asyncio.to_thread(node_of, tree.home)
    about = f"{'text' if wanted else 'user'}:{node.pseudonym(name or '')}"
    log = AuditLog(tree.home)
    async with log.act(what, about, counts) as number:
        done: dict[str, int] = {}
        yield done
        await log.end(number, DONE, done)


async def _export_user(room: _Room, name: str, out: Path) -> dict[str, int]:
    from noibo.assembly import open_contents
    from noibo.cli.privacy_names import Names
    from noibo.egress_ledger import FILE_NAME, departures
    from noibo.holdings import on_disk
    from noibo.holdings.export import Export
    from noibo.holdings.gathering import of_user, put_files, put_on_disk
    from noibo.holdings.steward import HERE
    from noibo.ledger.node import find_node

    rows = await room.database.read(lambda connection: of_user(connection, name))
    names = Names(find_node(room.tree.home), {})
    mine, record = names.pseudonym(name), room.tree.home / FILE_NAME
    about: dict[str, Any] = {"user": name, "made_at": _now()}
    if former := names.require_key(record):  # their departures before cannot be told from others'
        about["departures_known_after_row"] = former
    with Export(out, about) as export:
        for kind, found in rows.items():
            export.rows(kind, found)
        put_files(export, open_contents(room.tree), [row["id"] for row in rows.get("file", [])])
        left = [one for one in departures(record) if mine and one.user == mine]
        if left:
            export.rows("departures", [asdict(one) for one in left])
        if name == HERE:
            put_on_disk(export, room.tree.home, on_disk.kept(room.tree.home))
    return dict(export.counts)


async def _export_text(room: _Room, wanted: Wanted, out: Path) -> dict[str, int]:
    from noibo.assembly import open_contents
    from noibo.holdings.export import Export
    from noibo.holdings.gathering import of_hits, put_files, put_on_disk
    from noibo.holdings.models import MODEL

    found = await room.steward.find(wanted)
    rows = await room.database.read(lambda connection: of_hits(connection, found))
    home = room.tree.home
    with Export(out, {"text": wanted.terms, "made_at": _now()}) as export:
        for kind, kept in rows.items():
            export.rows(kind, kept)
        contents = [str(hit.key[0]) for hit in found.hits if hit.kind == "content"]
        put_files(export, open_contents(room.tree), contents)
        here = [home / str(hit.key[0]) for hit in found.hits if hit.kind == "on_disk"]
        put_on_disk(export, home, here)
        store = room.tree.models_folder
        made = [store / str(hit.key[0]) for hit in found.hits if hit.kind == MODEL]
        put_on_disk(export, store, made)
    return dict(export.counts)


@contextlib.asynccontextmanager
async def _room() -> AsyncIterator[_Room]:
    from noibo.assembly import open_database, open_steward

    tree = settings()
    database = open_database(tree)
    try:
        yield _Room(tree, database, open_steward(tree, database))
    finally:
        await database.close()


def _require_one(user: str | None, text: list[str] | None) -> None:
    if (user is None) == (not text) or user == "":  # an empty one is a slip of a script
        raise UsageError(
            "Say whom: either --user, for all that somebody stored, or --text, for all in which"
            " somebody is named.",
            next_step="noibo privacy erase-person --text 'Nguyễn Văn An' --text '0912 345 678'",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
