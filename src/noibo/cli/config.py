"""`noibo config`: the settings and where each came from."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any

import msgspec
import typer

from noibo.cli.context import settings
from noibo.model_settings import ModelSettings, UseSettings, VirtualSettings
from noibo.settings import Key, Settings, keys

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Show the settings."
)


@app.callback()
def _group() -> None:
    """Show the settings."""


@app.command()
def show(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print each value and where it came from."""
    tree = settings()
    rows = [(key.name, _value(tree, key), tree.sources[key.name]) for key in keys()]
    rows += _of_models(tree) + _of_uses(tree) + _of_virtual(tree)
    if json:
        print(jsonlib.dumps({name: {"value": v, "source": s} for name, v, s in rows}, indent=2))
        return
    print(f"# home: {tree.home}")
    print(f"# file: {tree.file}{'' if tree.file.exists() else ' (not there)'}")
    width = max(len(name) for name, _, _ in rows)
    for name, value, source in rows:
        print(f"{name:<{width}}  {jsonlib.dumps(value, ensure_ascii=False):<24}  {source}")


def _value(tree: Settings, key: Key) -> Any:
    found: Any = tree
    for part in key.name.split("."):
        found = getattr(found, part)
    return "(set)" if key.secret and found else found


def _of_models(tree: Settings) -> list[tuple[str, Any, str]]:
    """What is different for single models: the tables `[models."NAME"]`, each as it is written."""
    written: dict[int, tuple[str, ModelSettings]] = {}
    for model, own in tree.models.items():  # by its full name too, behind
        written.setdefault(id(own), (model, own))
    return [
        (
            f'models."{model}".{key.name}',
            "(set)" if key.secret else msgspec.to_builtins(value),
            str(tree.file),
        )
        for model, own in written.values()
        for key in keys(ModelSettings)
        if (value := getattr(own, key.name)) != key.default
    ]


def _of_uses(tree: Settings) -> list[tuple[str, Any, str]]:
    """Which model a use is for: the tables `[uses.USE]`."""
    return [
        (f"uses.{use}.{key.name}", value, str(tree.file))
        for use, own in tree.uses.items()
        for key in keys(UseSettings)
        if (value := getattr(own, key.name)) != key.default
    ]


def _of_virtual(tree: Settings) -> list[tuple[str, Any, str]]:
    """The tables `[virtual."NAME"]`."""
    return [
        (f'virtual."{name}".{key.name}', msgspec.to_builtins(value), str(tree.file))
        for name, own in tree.virtual.items()
        for key in keys(VirtualSettings)
        if (value := getattr(own, key.name)) != key.default
    ]
