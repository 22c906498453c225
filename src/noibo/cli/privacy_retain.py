"""`noibo privacy retain`: how long what is stored is kept."""

from __future__ import annotations

import asyncio
from json import dumps
from typing import Annotated, Any

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_view import Language
from noibo.cli.table import Column, print_table
from noibo.settings import Settings

_HEADINGS = {
    Language.en: ("WHAT", "KEPT FOR", "SETTING", "OLDER NOW"),
    Language.vi: ("LOẠI", "GIỮ TRONG", "THIẾT LẬP", "ĐÃ QUÁ HẠN"),
}
_SAYS = {
    "ever": {Language.en: "ever", Language.vi: "mãi mãi"},
    "days": {Language.en: "{days} days", Language.vi: "{days} ngày"},
    "gone": {Language.en: "Taken away: {what}.", Language.vi: "Đã bỏ: {what}."},
    "nothing": {Language.en: "nothing", Language.vi: "không có gì"},
}


def retain(
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Take away now what is older; a server does so by itself."),
    ] = False,
    lang: Annotated[Language, typer.Option(help="Language of the headings.")] = Language.en,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how long what is stored is kept, and take away what is older."""
    if apply:
        counts = asyncio.run(_apply(settings()))
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        gone = _SAYS["gone"][lang].format(what=said or _SAYS["nothing"][lang])
        print(dumps(counts) if json else gone)
        return
    rows = asyncio.run(_asked(settings()))
    if json:
        print(dumps(rows, indent=2))
        return
    cells = [
        (
            row["kind"],
            _SAYS["days"][lang].format(days=row["days"]) if row["days"] else _SAYS["ever"][lang],
            row["setting"],
            str(row["due"]) if row["days"] else "",
        )
        for row in rows
    ]
    columns = [Column(title, right=n == 3) for n, title in enumerate(_HEADINGS[lang])]
    print_table(columns, cells)


async def _asked(tree: Settings) -> list[dict[str, Any]]:
    from noibo.assembly import open_stored
    from noibo.gateway.retention import periods

    stored = open_stored(tree)
    try:
        return [
            {
                "kind": one.kind,
                "days": one.days,
                "setting": one.setting,
                "due": await one.due() if one.days else 0,
            }
            for one in periods(stored, tree)
        ]
    finally:
        await stored.database.close()


async def _apply(tree: Settings) -> dict[str, int]:
    from noibo.access.audit import DONE, AuditLog
    from noibo.assembly import open_stored
    from noibo.gateway.retention import let_go

    stored, log = open_stored(tree), AuditLog(tree.home)
    try:
        async with log.act("retain", str(tree.file)) as number:
            counts = await let_go(stored, tree)
            await stored.database.scrub()
            await log.end(number, DONE, counts)
        return counts
    finally:
        await stored.database.close()
