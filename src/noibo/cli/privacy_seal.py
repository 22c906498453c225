"""`noibo privacy new-key, reseal`: encryption of what is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from noibo.cli.context import settings
from noibo.settings import Settings


def new_key(
    path: Annotated[Path, typer.Argument(help="The file that is to hold it.")],
) -> None:
    """Make a key for what is stored, in a file of its own."""
    from noibo.database.seal_key import make_key

    key = make_key(path)
    print(f"The key {key.name} is in {path}, which only you may read.")
    print(
        f'Set [encryption] key = "file:{path.absolute()}", restart the server, and type `noibo'
        " privacy reseal`.\nKeep a copy of it elsewhere: without it, nothing sealed can be read"
        " again."
    )


def reseal() -> None:
    """Write all that is stored again: sealed by the key that is set, or open where none is."""
    asyncio.run(_reseal(settings()))


async def _reseal(tree: Settings) -> None:
    from noibo.access.audit import DONE, AuditLog
    from noibo.assembly import open_contents, open_database, open_seal
    from noibo.holdings.resealing import file_names, reseal_rows

    first = open_seal(tree).first
    by = f"sealed by the key {first.name}" if first else "open"
    database, contents, log = open_database(tree), open_contents(tree), AuditLog(tree.home)
    counts: dict[str, int] = {}
    try:
        async with log.act("reseal", first.name if first else "open") as number:
            await reseal_rows(database, counts.__setitem__)
            names = await file_names(database)
            done = [await asyncio.to_thread(contents.reseal, name) for name in names]
            counts["content"] = sum(done)
            await database.scrub()
            await log.end(number, DONE, counts)
    finally:
        await database.close()
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"What is stored is {by} now: {said}.")
