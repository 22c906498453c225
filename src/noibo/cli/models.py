"""`noibo pull`, `add`, `list`, `show`, `rm`: the models on this machine."""

from __future__ import annotations

import sys
import time
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from noibo.cli.context import settings
from noibo.errors import ModelNotFound
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import size_text
from noibo.modelstore.store import StoredModel, Survey

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="NAME or NAME:TAG.", show_default=False)]


def pull(
    name: Annotated[
        str | None,
        typer.Argument(help="NAME or NAME:TAG; the default model if not given."),
    ] = None,
) -> None:
    """Fetch a model."""
    model = _fetch(name or settings().default_model)
    print(f"{model.reference}: {size_text(model.size)}, licence {_licence(model)}, {model.path}")


def fetch_if_missing(name: str) -> None:
    """Pull a model that is not here, with nothing on standard output; silent if it is here."""
    from noibo.assembly import open_store

    try:
        open_store(settings()).get(name)
    except ModelNotFound:
        _fetch(name)


def _fetch(name: str) -> StoredModel:
    from noibo.assembly import open_puller
    from noibo.cli.pull_view import view

    with view() as show_progress:
        return open_puller(settings()).pull(name, show_progress)


def add(
    file: Annotated[Path, typer.Argument(help="The GGUF file.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="NAME or NAME:TAG; from the file's name if not given.")
    ] = None,
) -> None:
    """Use a GGUF file where it lies, without a copy."""
    from noibo.assembly import open_store

    model = open_store(settings()).add(file, name)
    print(f"{model.reference}: {size_text(model.size)}, used in place: {_text(str(model.path))}")


def list_models(json: Json = False) -> None:
    """List the models on this machine."""
    from noibo.assembly import open_store

    survey = open_store(settings()).survey()
    for problem in survey.problems:
        print(f"noibo: {_text(str(problem))}", file=sys.stderr)
    if json:
        print(dumps([model.as_dict() for model in survey.models], indent=2))
    elif survey.models:
        _print_table(survey)
    else:
        print(f"No models yet. Fetch one: noibo pull {settings().default_model}")


def show(name: Name, json: Json = False) -> None:
    """Show what is known about a model."""
    from noibo.assembly import open_store
    from noibo.modelstore.model_info import inspect_model

    model = open_store(settings()).get(name)
    info = inspect_model(model.path).as_dict()
    if json:
        print(dumps({**model.as_dict(), "info": info}, indent=2))
        return
    rows = {
        "name": str(model.reference),
        "file": str(model.path),
        "size": f"{size_text(model.size)} ({model.size:,} bytes)",
        "licence": _licence(model),
        "source": model.source,
        "where": _where(model),
        "added": _when(model.added_at),
    }
    rows |= {key: _said(value) for key, value in info.items() if value and key != "file_size"}
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key.replace('_', ' '):<{width}}  {_text(value)}")


def rm(name: Name) -> None:
    """Remove a model."""
    from noibo.assembly import open_store

    gone = open_store(settings()).remove(name)
    kept = [
        f"{size_text(gone.shared)} stay, other models use them" if gone.shared else "",
        f"{size_text(gone.in_place)} stay where they lie" if gone.in_place else "",
    ]
    said = ", ".join([f"{size_text(gone.freed)} freed", *filter(None, kept)])
    print(f"{gone.reference} is removed: {said}.")


def _said(value: object) -> str:
    """A fact in words: a list without its brackets, a mapping by its names."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | dict) else str(value)


def _print_table(survey: Survey) -> None:
    columns = ("NAME", "SIZE", "KIND", "LICENCE", "WHERE", "ADDED")
    rows = [columns, *(_row(model) for model in survey.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _row(model: StoredModel) -> tuple[str, ...]:
    facts = (model.facts.architecture, model.facts.quantisation)
    return (
        str(model.reference),
        size_text(model.size),
        _text(" ".join(fact for fact in facts if fact)),
        _licence(model),
        _where(model),
        _when(model.added_at),
    )


def _where(model: StoredModel) -> str:
    return "in place" if model.in_place else "store"


def _licence(model: StoredModel) -> str:
    return _text(model.licence) if model.licence else "not stated"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _text(text: str) -> str:
    """Safe on a terminal, in whatever encoding it has: names in files are a stranger's."""
    encoding = sys.stdout.encoding or "utf-8"
    return shown(text).encode(encoding, "backslashreplace").decode(encoding)
