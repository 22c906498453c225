"""`noibo store`: are the models whole, what is left over, where are the bytes."""

from __future__ import annotations

from json import dumps
from typing import Annotated, Any

import msgspec
import typer

from noibo.cli.context import settings
from noibo.cli.models import print_rows
from noibo.cli.models_service import model_service
from noibo.cli.pull_view import view
from noibo.errors import StoreError
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import size_text
from noibo.wire.models import CheckedRow, FaultRow, UsageRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Check, clean and measure the model store.",
)


@app.callback()
def _group() -> None:
    """Check, clean and measure the model store."""


@app.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again what is bad, and only that.")
    ] = False,
    json: Json = False,
) -> None:
    """Read every file of every model and compare it with its digest."""
    checked = _check(repair)
    if json:
        _print_json(checked)
    else:
        _print_checked(checked)
    if checked.faults:
        count = "One fault is" if len(checked.faults) == 1 else f"{len(checked.faults)} faults are"
        raise StoreError(f"{count} left.")


@app.command()
def gc(
    partial: Annotated[
        bool, typer.Option("--partial", help="Also downloads that were not finished.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove files that no model needs."""
    with model_service(settings()) as models:
        gone = models.collect_garbage(partial)
    if json:
        _print_json(gone)
        return
    for one in gone.removed:
        print(f"{one.kind}: {shown(one.path, 500)}, {size_text(one.size)}")
    count = "One is" if len(gone.removed) == 1 else f"{len(gone.removed)} are"
    print(f"{count} removed, {size_text(gone.freed)} freed." if gone.removed else "Nothing to do.")


@app.command()
def du(json: Json = False) -> None:
    """Show how many bytes each model takes, and what is left over."""
    with model_service(settings()) as models:
        usage = models.store_usage()
    if json:
        _print_json(usage)
        return
    _print_usage(usage)


def _check(repair: bool) -> CheckedRow:
    with model_service(settings()) as models, view() as show:
        for event in models.check_store(repair):
            if isinstance(event, CheckedRow):
                return event
            show(event)
    raise AssertionError("a check ends with what was found or an error")


def _print_checked(checked: CheckedRow) -> None:
    print(f"{_files(checked.files)}, {size_text(checked.bytes)} read.")
    if checked.unverified:
        print(
            f"{len(checked.unverified)} of them lie elsewhere and have no digest to compare with: "
            "only their size and time were."
        )
    for fault in checked.mended:
        print(f"Mended: {_fault(fault)}")
    for fault in checked.faults:
        print(f"Bad: {_fault(fault)}\n     {shown(fault.next_step, 500)}")
    if not checked.faults:
        print("All is as it should be.")


def _fault(fault: FaultRow) -> str:
    used = f" (used by {', '.join(fault.models)})" if fault.models else ""
    return f"{shown(fault.path, 500)}: {shown(fault.what, 1000)}{used}."


def _print_usage(usage: UsageRow) -> None:
    if usage.models:
        rows = [
            (use.model, *map(size_text, (use.own, use.shared, use.in_place)))
            for use in usage.models
        ]
        print_rows([("MODEL", "OWN", "SHARED", "IN PLACE"), *rows])
        print()
    print(f"{size_text(usage.blobs)} in {shown(usage.folder, 500)}; {size_text(usage.free)} free.")
    kinds = sorted({one.kind for one in usage.leftovers})
    for kind in kinds:
        sizes = [one.size for one in usage.leftovers if one.kind == kind]
        how = "noibo store gc --partial" if kind == "partial" else "noibo store gc"
        files = f"{_files(len(sizes))}, {size_text(sum(sizes))}"
        print(f"Left over, {kind}: {files} (`{how}` removes them).")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _print_json(row: Any) -> None:
    print(dumps(msgspec.to_builtins(row), indent=2))
