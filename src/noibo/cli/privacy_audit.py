"""`noibo privacy audit`: what those who run this server did."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from json import dumps
from typing import Annotated

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_view import Language
from noibo.cli.table import Column, print_table
from noibo.cli.terminal import harmless

_HEADINGS = {
    Language.en: ("TIME", "WHO", "WHAT", "ABOUT", "DETAILS"),
    Language.vi: ("LÚC", "AI", "VIỆC", "VỀ", "CHI TIẾT"),
}
_NOTHING = {Language.en: "Nothing was done yet.", Language.vi: "Chưa có việc nào được làm."}


def audit(
    last: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50,
    lang: Annotated[Language, typer.Option(help="Language of the headings.")] = Language.en,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, all of it.")] = False,
) -> None:
    """Show what administrators did: keys, users, the server, erasures."""
    from noibo.access.audit import acts

    found = list(acts(settings().home))
    if json:
        print(dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print(_NOTHING[lang])
        return
    rows = [
        (
            datetime.fromtimestamp(one.time).strftime("%Y-%m-%d %H:%M:%S"),
            harmless(one.who),
            f"{one.what} {one.ended}".strip() if one.ended != "done" else one.what,
            harmless(one.about),
            harmless(" ".join(f"{k}={v}" for k, v in one.details.items() if v not in {None, ""})),
        )
        for one in found[-last:]
    ]
    print_table([Column(title, most=28) for title in _HEADINGS[lang]], rows)
