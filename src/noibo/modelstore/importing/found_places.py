"""Looks for models in the places of other programs, and in folders that the user names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from noibo.errors import BadReference, NotFound, UsageError
from noibo.modelstore.importing import hub_cache, llama_cache, lm_studio, model_folder, ollama_store
from noibo.modelstore.importing.found_model import (
    DAMAGE,
    FoundModel,
    LeftOut,
    Place,
    Program,
    Survey,
    phrase,
)
from noibo.modelstore.importing.strange_tree import MAX_NAMES, Look
from noibo.modelstore.reference import Reference

_FIND: Final[dict[Program, Callable[[Place, Look], Iterator[FoundModel | LeftOut]]]] = {
    "Ollama": ollama_store.find,
    "Hugging Face": hub_cache.find,
    "LM Studio": lm_studio.find,
    "llama.cpp": llama_cache.find,
    "Jan": model_folder.find,
    "GPT4All": model_folder.find,
    "a folder": model_folder.find,
}
# Those whose files have owners elsewhere: a link in one of them to a file of another is no model.
_LOOSE: Final = frozenset({"LM Studio", "llama.cpp", "Jan", "GPT4All", "a folder"})
_MOST_CLOSED: Final = 5


def known_places(folders: Mapping[str, Sequence[Path]]) -> tuple[Place, ...]:
    """The places of programs, from `settings.other_programs()`."""
    found = []
    for program in _FIND:
        for folder in folders.get(program, ()):
            paths = lm_studio.folders(folder) if program == "LM Studio" else (folder,)
            found += [Place(program, path) for path in paths]
    return tuple(found)


def named_places(folders: Sequence[Path]) -> tuple[Place, ...]:
    """Folders that a user names, each as what it turns out to be. Raises for what is no folder."""
    return tuple(_named(folder.expanduser().absolute()) for folder in folders)


def _named(folder: Path) -> Place:
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except PermissionError:
        return Place("a folder", folder, named=True)  # the survey says who could open it
    except (OSError, ValueError):
        raise NotFound(f"There is no folder {folder}.", next_step="Check the path.") from None
    if not is_folder:
        raise UsageError(f"{folder} is not a folder.", next_step=f"One file: `noibo add {folder}`.")
    for inside in (folder, folder / "models", folder / ".ollama" / "models"):
        if ollama_store.is_ollama(inside):
            return Place("Ollama", inside, named=True)
    for inside in (folder, folder / "hub"):
        if hub_cache.is_hub_cache(inside, Look()):
            return Place("Hugging Face", inside, named=True)
    return Place("a folder", folder, named=True)


def survey(places: Iterable[Place], most: int = MAX_NAMES) -> Survey:
    """Everything found, each file once; `most` names are looked at in one place. Nothing is read
    whole, nothing is written."""
    entered: list[Place] = []
    folders: set[tuple[int, int]] = set()
    found = _Found(most)
    for place in places:
        try:
            status = place.path.stat()
        except PermissionError:
            found.left_out.append(_no_access(place, place.path))
            continue
        except (OSError, ValueError):
            continue
        if not stat.S_ISDIR(status.st_mode) or (status.st_dev, status.st_ino) in folders:
            continue
        folders.add((status.st_dev, status.st_ino))
        entered.append(place)
        found.look_in(place)
    return Survey(tuple(entered), tuple(found.models), tuple(found.left_out))


class _Found:
    """What was found so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.models: list[FoundModel] = []
        self.left_out: list[LeftOut] = []
        self._files: dict[tuple[int, int], FoundModel] = {}
        self._names: set[Reference] = set()

    def look_in(self, place: Place) -> None:
        look = Look(self._most)
        try:
            for one in _FIND[place.program](place, look):
                self._take_up(one)
        except DAMAGE as exc:  # the other places are none the worse for it
            self.left_out.append(LeftOut(place, str(place.path), "damaged", phrase(exc)))
        if look.is_cut:
            why = f"more than {self._most:,} names in it: the rest was not looked at"
            self.left_out.append(LeftOut(place, str(place.path), "left out", why))
        closed = look.closed[:_MOST_CLOSED]
        self.left_out += [_no_access(place, folder) for folder in closed]

    def _take_up(self, one: FoundModel | LeftOut) -> None:
        if isinstance(one, LeftOut):
            self.left_out.append(one)
            return
        try:
            self._add(one)
        except OSError as exc:  # it went while we looked
            self.left_out.append(LeftOut(one.place, one.name, "incomplete", str(exc.strerror)))

    def _add(self, model: FoundModel) -> None:
        status = model.files[0].path.stat()
        file = (status.st_dev, status.st_ino)
        first = self._files.setdefault(file, model)
        if first is not model and model.place.program in _LOOSE:
            why = f"of {first.reference}"
            self.left_out.append(LeftOut(model.place, model.name, "same file", why, model.size))
            return
        model = _with_a_name_of_its_own(model, self._names)
        self._names.add(model.reference)
        self.models.append(model)


def _with_a_name_of_its_own(model: FoundModel, names: set[Reference]) -> FoundModel:
    """Loose files of one name in several folders: the folder's name is put before it."""
    if model.place.program not in {"Jan", "GPT4All", "a folder"} or model.reference not in names:
        return model
    try:
        reference = Reference.from_file_name(f"{model.path.parent.name}-{model.reference.name}")
    except BadReference:
        return model
    return replace(model, reference=reference)


def _no_access(place: Place, folder: Path) -> LeftOut:
    """Says who could open it: most often Ollama's service, which runs as a user of its own."""
    closed = next((one for one in (*reversed(folder.parents), folder) if not _opens(one)), folder)
    why = f"{closed} is not open to this user"
    try:
        status, group = closed.stat(), closed.group()
    except (OSError, KeyError, NotImplementedError):
        return LeftOut(place, str(folder), "no access", why)
    if status.st_gid == 0:  # nobody should join that group for this
        return LeftOut(place, str(folder), "no access", f"{why}; its owner can open it")
    need = stat.S_IRGRP | stat.S_IXGRP
    opened = "" if status.st_mode & need == need else f"sudo chmod g+rx {closed} && "
    way = f"`{opened}sudo usermod -aG {group} $USER`, then sign in again"
    return LeftOut(place, str(folder), "no access", f"{why}: {way}")


def _opens(folder: Path) -> bool:
    return os.access(
        folder, os.X_OK | os.R_OK, effective_ids=os.access in os.supports_effective_ids
    )
