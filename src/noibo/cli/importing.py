"""`noibo import`: what other programs have fetched, used where it lies."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from noibo.cli.context import settings
from noibo.cli.models_service import model_service
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import size_text
from noibo.wire.importing import ImportedRow, TakenRow
from noibo.wire.models import ProgressRow

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
    named = [str(folder.expanduser().absolute()) for folder in folders or ()]
    taken = _import(named, dry_run, prune)
    if json:
        print(dumps(msgspec.to_builtins(taken), indent=2))
    else:
        _print(taken)


def _import(folders: list[str], dry_run: bool, prune: bool) -> ImportedRow:
    with model_service(settings(), folders) as models:
        for event in models.import_models(folders, dry_run, prune):
            if isinstance(event, ImportedRow):
                return event
            _tell(event)
    raise AssertionError("an import ends with what came of it or an error")


def _tell(progress: ProgressRow) -> None:
    if progress.note and sys.stderr.isatty():
        print(progress.note, file=sys.stderr)


def _print(taken: ImportedRow) -> None:
    if taken.models:
        print_table(_COLUMNS, [_cells(row, taken.dry_run) for row in taken.models])
        print()
    count = "1 model" if taken.usable == 1 else f"{taken.usable} models"
    would = "would be " if taken.dry_run else ""
    print(f"{count}, {size_text(taken.in_place)} {would}used in place, 0 bytes copied.")
    if not taken.found:
        where = sorted({place.program for place in taken.places})
        looked = f"Looked in: {', '.join(where)}. " if where else "None of those programs is here. "
        print_paragraph(f"{looked}Name a folder to look in another: `noibo import FOLDER`.")


def _cells(row: TakenRow, dry_run: bool) -> tuple[str, str, str, str]:
    status = f"would be {row.status}" if dry_run and row.status in _WOULD else row.status
    note = f"{status}: {shown(row.note, 500)}" if row.note else status
    return shown(row.model, 200), size_text(row.size) if row.size else "", row.program, note
