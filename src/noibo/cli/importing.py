"""`noibo import`: what other programs have fetched, used where it lies."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from noibo.cli.context import settings
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore.found_model import Survey
from noibo.modelstore.importing import Row, Taken
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import Progress, size_text

_COLUMNS = (Column("MODEL", 46), Column("SIZE", right=True), Column("FROM", 12), Column("STATUS"))
_WOULD = {"imported", "updated", "removed"}


def import_models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Look in these instead: a folder of such a program, or any with models in it.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be imported.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget imported models whose files are gone.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Use what Ollama, LM Studio and the HF cache have, without a copy."""
    from noibo.assembly import open_store
    from noibo.modelstore import found_places, importing
    from noibo.settings import other_programs

    places = (
        found_places.named_places(folders)
        if folders
        else found_places.known_places(other_programs())
    )
    found = found_places.survey(places)
    store = open_store(settings())
    taken = importing.take(store, found, _tell, dry_run=dry_run, prune=prune)
    if json:
        print(dumps(_as_dict(found, taken, dry_run), indent=2))
    else:
        _print(found, taken, dry_run)


def _tell(progress: Progress) -> None:
    if progress.note and sys.stderr.isatty():
        print(progress.note, file=sys.stderr)


def _print(found: Survey, taken: Taken, dry_run: bool) -> None:
    if taken.rows:
        print_table(_COLUMNS, [_cells(row, dry_run) for row in taken.rows])
        print()
    count = "1 model" if taken.models == 1 else f"{taken.models} models"
    would = "would be " if dry_run else ""
    print(f"{count}, {size_text(taken.in_place)} {would}used in place, 0 bytes copied.")
    if not found.models:
        where = sorted({place.program for place in found.places})
        looked = f"Looked in: {', '.join(where)}. " if where else "None of those programs is here. "
        print_paragraph(f"{looked}Name a folder to look in another: `noibo import FOLDER`.")


def _cells(row: Row, dry_run: bool) -> tuple[str, str, str, str]:
    status = f"would be {row.status}" if dry_run and row.status in _WOULD else row.status
    note = f"{status}: {shown(row.note, 500)}" if row.note else status
    return shown(row.model, 200), size_text(row.size) if row.size else "", row.program, note


def _as_dict(found: Survey, taken: Taken, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "places": [{"program": one.program, "path": str(one.path)} for one in found.places],
        "models": [msgspec.to_builtins(row) for row in taken.rows],
        "usable": taken.models,
        "in_place": taken.in_place,
        "copied": 0,
    }
