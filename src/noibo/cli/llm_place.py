"""The place that LLM_MODEL_PATH names before a model is there: the fetched one is put into it.

The program looks there, and a variable goes before noibo.toml: so that its environment need not be
changed, the model's file is linked to that place. A link takes no room.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from noibo.assembly import open_lookup, open_store
from noibo.engines.engine import Model
from noibo.errors import (
    BadModelFile,
    BadReference,
    ModelPathNotFound,
    NoiboError,
    SettingsError,
)
from noibo.llm_service.finding import Finder, Found, path_of, usual
from noibo.llm_service.quantised import Wish
from noibo.modelstore.origin import Named, Registry, parse
from noibo.modelstore.parts import Part
from noibo.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """A file, if its name ends so, or a folder, that is to hold a model. `said`: as it is set, by
    `variable`, if one says it; `why`: what a program is told now."""

    said: str
    path: Path
    variable: str
    why: str

    @property
    def folder(self) -> Path:
        return self.path.parent if _is_gguf(self.path) else self.path

    def require_usable(self) -> None:
        """Raise `SettingsError` where nothing can be put there: said before anything is fetched."""
        try:
            there = next(one for one in (self.folder, *self.folder.parents) if one.exists())
        except OSError as exc:
            raise self._refused(f"{exc.filename}: {exc.strerror}") from exc
        if not there.is_dir():
            raise self._refused(f"{there} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._refused(f"you may not write into {there}")

    def put(self, model: Model) -> Path:
        """Link the model's file there, or all of its parts; gives the first. Raises
        `SettingsError`."""
        if model.path is None or model.format != "gguf":
            raise self._refused(f"{model.name} is not in a GGUF file", model)
        files = self._files(model, model.path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for file, name in files:
                _link(file.resolve(), self.folder / name)
        except OSError as exc:
            named = exc.filename2 or exc.filename
            raise self._refused(f"{named}: {exc.strerror}", model) from exc
        return self.folder / files[0][1]

    def _files(self, model: Model, path: Path) -> list[tuple[Path, str]]:
        """The model's files, and what each is to be called."""
        stem, part = stem_of(model.name), Part.of(path.name)
        if part is None:
            return [(path, self.path.name if _is_gguf(self.path) else f"{stem}.gguf")]
        if _is_gguf(self.path):
            raise self._refused(f"{model.name} is {part.count} files, and that is one", model)
        fresh = Part(stem, 1, part.count, ".gguf")
        numbers = range(1, part.count + 1)
        return [(path.with_name(part.path(one)), fresh.path(one)) for one in numbers]

    def _refused(self, why: str, model: Model | None = None) -> SettingsError:
        setting = self.variable or "llm.model_path"
        named = f", or to the model's name: {setting}={model.name}" if model else ""
        return SettingsError(
            f"{self.said} ({setting}) cannot hold a model: {why}.",
            next_step=f"Mend that, or set {setting} to a folder of yours{named}; or unset it.",
        )


def empty_place(tree: Settings, wish: Wish) -> Place | None:
    """The place that the settings name, where no model is there; None where they name a model, or
    one is there, whatever may be wrong with it."""
    said = tree.llm.model_path or usual(tree)
    if not is_place(said):
        return None
    path = path_of(said) or Path(said).absolute()
    try:
        find(tree, said, wish)
    except ModelPathNotFound as error:
        why = error.message
    except BadModelFile as error:
        if path.is_dir() or _is_gguf(path):
            return None
        why = error.message
    except NoiboError:
        return None
    else:
        return None
    source = tree.sources["llm.model_path"]
    return Place(said, path, "" if source in {"default", str(tree.file)} else source, why)


def find(tree: Settings, said: str, wish: Wish) -> Found:
    """As a program finds it."""
    return asyncio.run(Finder(tree, open_store(tree), open_lookup(tree)).find(said, wish))


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


def stem_of(name: str) -> str:
    """A model's name as that of a file: `smollm2-135m` of `smollm2:135m`."""
    return name.rpartition("/")[2].removesuffix(":latest").replace(":", "-")


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def _link(file: Path, target: Path) -> None:
    """Another name for the file; a link that leads nowhere gives way. Raises `OSError`."""
    if target.is_symlink() and not target.exists():
        target.unlink()
    try:
        os.link(file, target)
    except FileExistsError:
        if not target.samefile(file):
            raise
    except OSError:  # on another disk, or a file system without hard links
        target.symlink_to(file)
