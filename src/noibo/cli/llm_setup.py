"""`noibo llm setup`: the model a program will load is here, and noibo.toml says where."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import typer

from noibo.assembly import open_lookup, open_store
from noibo.cli.context import settings
from noibo.cli.llm_fit import look_at, require_room
from noibo.cli.llm_table import table_of, with_table
from noibo.cli.models import fetch_if_missing
from noibo.errors import BadReference, ModelNotFound, ModelPathNotFound, SettingsError
from noibo.llm_service.finding import Finder, Found, path_of, usual
from noibo.llm_service.quantised import Wish
from noibo.modelstore import catalog
from noibo.modelstore.disk import write_atomically
from noibo.modelstore.origin import Named, Registry, parse
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
    said = model or _meant(fresh, wish)
    there = path_of(said) is not None
    named = said if there else _in_bits(said, wish)
    found = _found(fresh, said, wish) if there else None  # what is wrong with it is said at once
    model_there = found.model if found else None
    require_room(fresh, look_at(tree), named, model_there, all_the_same=overwrite)
    found = found or _found(fresh, named, wish)
    print(f"Model: {found.model.name} {found.quantisation}, {size_text(found.model.bytes)}.")
    if found.note:
        print(f"Note: {found.note}")
    _write(tree, {"model_path": _kept(found, said), **values}, overwrite=overwrite)
    if said != tree.llm.model_path:
        values["model_path"] = _kept(found, said)
    for line in what_wins(tree, values):
        print(line)
    print("Next: noibo llm test")


def _meant(tree: Settings, wish: Wish) -> str:
    """The model that the settings mean: the default one where they name a place without any, as
    `LLM_MODEL_PATH=models/llm` does before anything is there."""
    said = tree.llm.model_path or usual(tree)
    if not is_place(said):
        return said
    try:
        asyncio.run(Finder(tree, open_store(tree), open_lookup(tree)).find(said, wish))
    except ModelPathNotFound as error:
        print(f"{error.message} The default model is set up instead: {tree.default_model}.")
        return tree.default_model
    return said


def is_place(said: str) -> bool:
    """Whether a path is meant. `models/llm` might be a model of somebody named models; in the
    settings it is a folder, and a model is named with its tag or its host."""
    if path_of(said) is not None:
        return True
    try:
        origin = parse(said)
    except BadReference:
        return True
    if not isinstance(origin, Named | Registry) or ":" in said or "/" not in said:
        return False
    return "." not in origin.reference.host or isinstance(origin, Named)


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
    lookup = open_lookup(tree)
    if path_of(said) is None:
        try:
            asyncio.run(lookup.resolve(said))
        except ModelNotFound:
            fetch_if_missing(said)
    return asyncio.run(Finder(tree, open_store(tree), lookup).find(said, wish))


def _in_bits(said: str, wish: Wish) -> str:
    """The name of the same model in so many bits, where the catalogue has it."""
    origin = parse(said)
    choice = catalog.load().find(origin.reference) if isinstance(origin, Named) else None
    if choice is None or not wish.bits or choice.quantisation in wish.names:
        return said
    if wish.name not in catalog.load().quantisations(choice.model):
        return said
    return f"{choice.model.name}-{wish.name.lower()}"


def _kept(found: Found, said: str) -> str:
    """What is written down: a path that holds in whatever folder, or the model's name."""
    path = path_of(said)
    return found.model.name if path is None else str(path)


def _write(tree: Settings, values: dict[str, Any], *, overwrite: bool) -> None:
    """Into noibo.toml, asking before anything there is changed."""
    try:
        before = tree.file.read_text(encoding="utf-8")
    except FileNotFoundError:
        before = ""
    there = table_of(before)
    changed = [name for name, value in values.items() if there.get(name, value) != value]
    after = with_table(before, values)
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
