"""`noibo llm setup`: the model a program will load is here, and noibo.toml says where."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import typer

from noibo.assembly import open_lookup
from noibo.cli.context import settings
from noibo.cli.llm_fit import look_at, require_room
from noibo.cli.llm_place import Place, empty_place, find
from noibo.cli.llm_table import table_of, with_table
from noibo.cli.models import fetch_if_missing
from noibo.errors import ModelNotFound, NoiboError, SettingsError
from noibo.llm_service.finding import Found, path_of, usual
from noibo.llm_service.quantised import Wish
from noibo.modelstore import catalog
from noibo.modelstore.disk import write_atomically
from noibo.modelstore.origin import Named, parse
from noibo.modelstore.progress import size_text
from noibo.settings import Settings

SWITCHES: dict[str, dict[str, bool]] = {
    "8bit": {"use_quantization": True, "load_in_8bit": True, "load_in_4bit": False},
    "4bit": {"use_quantization": True, "load_in_8bit": False, "load_in_4bit": True},
    "none": {"use_quantization": False, "load_in_8bit": False, "load_in_4bit": False},
}


def set_up(
    model: str | None, quantization: str | None, max_length: int | None, *, overwrite: bool
) -> None:
    """All of it, told as it goes. Raises what keeps it from being done; then nothing is written."""
    tree = settings(plain=True)
    values: dict[str, Any] = dict(SWITCHES.get(quantization or "", {}))
    if max_length is not None:
        values["max_length"] = max_length
    fresh = replace(tree, llm=replace(tree.llm, **values))
    wish = Wish.of(fresh.llm)
    place = _place(fresh, wish, model)
    said = model or (tree.default_model if place else tree.llm.model_path or usual(tree))
    there = path_of(said) is not None
    named = said if there else _in_bits(said, wish)
    found = _found(fresh, said, wish) if there else None  # what is wrong with it is said at once
    model_there = found.model if found else None
    require_room(fresh, look_at(tree), named, model_there, all_the_same=overwrite)
    found = found or _found(fresh, named, wish)
    print(f"Model: {found.model.name} {found.quantisation}, {size_text(found.model.bytes)}.")
    if found.note:
        print(f"Note: {found.note}")
    if place:
        print(f"Put there: {place.put(found.model)} (a link: it takes no room).")
    meant = _is_meant(fresh, found, wish)
    kept = {"model_path": _kept(tree, found, said)}
    if meant and model is None and tree.sources["llm.model_path"] == str(tree.file):
        kept = {}  # it stays as it is written
    _write(tree, {**kept, **values}, overwrite=overwrite)
    for line in what_wins(tree, values if meant else {**kept, **values}):
        print(line)
    print("Next: noibo llm test")


def _place(tree: Settings, wish: Wish, model: str | None) -> Place | None:
    """The place that the model is to be put into: the settings mean it, and none is there, as with
    `LLM_MODEL_PATH=models/llm` at first. Where a model is named, only what a variable says counts:
    what noibo.toml says is written anew. Raises `SettingsError` where nothing can be put there."""
    place = empty_place(tree, wish)
    if place is None or (model is not None and not place.variable):
        return None
    place.require_usable()
    print(f"{place.why} {model or f'The default model, {tree.default_model},'} goes there.")
    return place


def _is_meant(tree: Settings, found: Found, wish: Wish) -> bool:
    """True if the settings lead to that model as they are."""
    model = found.model
    try:
        there = find(tree, tree.llm.model_path, wish).model
        if there.path and model.path and there.path.samefile(model.path):
            return True
    except (NoiboError, OSError):
        return False
    return there.name == model.name


def what_wins(tree: Settings, values: Mapping[str, Any]) -> Iterator[str]:
    """Variables that say something else than what is written, and go before it."""
    for name, value in values.items():
        source = tree.sources[f"llm.{name}"]
        if source in {"default", str(tree.file)} or getattr(tree.llm, name) == value:
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        yield f"{source} goes before noibo.toml: unset it, or set {source}={text}"


def _found(tree: Settings, said: str, wish: Wish) -> Found:
    """The model, fetched first where it has a name and is not here."""
    if path_of(said) is None:
        try:
            asyncio.run(open_lookup(tree).resolve(said))
        except ModelNotFound:
            fetch_if_missing(said)
    return find(tree, said, wish)


def _in_bits(said: str, wish: Wish) -> str:
    """The name of the same model in so many bits, where the catalogue has it."""
    origin = parse(said)
    choice = catalog.load().find(origin.reference) if isinstance(origin, Named) else None
    if choice is None or not wish.bits or choice.quantisation in wish.names:
        return said
    if wish.name not in catalog.load().quantisations(choice.model):
        return said
    return f"{choice.model.name}-{wish.name.lower()}"


def _kept(tree: Settings, found: Found, said: str) -> str:
    """What is written down: a path that holds in whatever folder, or the name of a model of the
    store, which a link leads to as well."""
    path, file = path_of(said), found.model.path
    stored = file is not None and file.is_relative_to(tree.models_folder)
    return found.model.name if path is None or stored else str(path)


def _write(tree: Settings, values: dict[str, Any], *, overwrite: bool) -> None:
    """Into noibo.toml, asking before anything there is changed."""
    try:
        before = tree.file.read_text(encoding="utf-8")
    except FileNotFoundError:
        before = ""
    there = table_of(before)
    changed = [name for name, value in values.items() if there.get(name, value) != value]
    after = with_table(before, values) if values else before
    if after == before:
        print(f"{tree.file} says so already.")
        return
    for name in changed:
        print(f"  llm.{name}: {there[name]!r} becomes {values[name]!r}")
    if changed and not overwrite:
        if not sys.stdin.isatty():
            raise SettingsError(
                f"{tree.file} says something else already: {', '.join(changed)}.",
                next_step="`noibo llm setup --yes` overwrites it.",
            )
        if not typer.confirm(f"Overwrite that in {tree.file}?"):
            raise typer.Abort
    write_atomically(tree.file, after.encode())
    said = ", ".join(f"llm.{name}" for name in values)
    print(f"Written to {tree.file}: {said}.")
