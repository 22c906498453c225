"""A folder of models as people keep them: GGUF files and checkpoints, however deep.

Jan's (`NAME/model.gguf`) and GPT4All's (`*.gguf`) are such folders too. Hidden folders and those
behind links are not entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from noibo.errors import BadReference
from noibo.modelstore.checkpoint import CONFIG
from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.repository_files import (
    Gap,
    Group,
    RepositoryFiles,
    is_model_name,
    is_unfinished,
)
from noibo.modelstore.importing.strange_tree import MAX_DEPTH, Look, file_size
from noibo.modelstore.parts import Part
from noibo.modelstore.reference import Reference
from noibo.modelstore.sources.hub_quants import label

_PLAIN_NAMES: Final = frozenset({"model", "ggml-model"})  # that say nothing: the folder's name does


def find(
    place: Place, look: Look, skip: frozenset[str] = frozenset(), depth: int = MAX_DEPTH
) -> Iterator[FoundModel | LeftOut]:
    """Every model in it. Files named in `skip` are known otherwise."""
    for folder, files in look.walk(place.path, depth):
        listing = RepositoryFiles()
        for path in files:
            if is_unfinished(path.name):
                if ".gguf" in path.name or ".safetensors" in path.name:
                    yield _unfinished(place, path)
            elif path.name not in skip:
                listing.add(path.name, path)
        yield from _models(place, folder, listing)


def _models(place: Place, folder: Path, listing: RepositoryFiles) -> Iterator[FoundModel | LeftOut]:
    stems = {_stem(name) for name in listing.files if _is_model(name)}
    for group in listing.groups():
        name = folder.name if group.path == CONFIG else group.path
        if isinstance(group, Gap):
            yield LeftOut(place, name, group.status, group.why)
            continue
        try:
            reference = Reference.from_file_name(_name(place, folder, group.path))
        except BadReference:
            yield LeftOut(place, name, "left out", "no model name can be made of its name")
            continue
        path = folder if group.path == CONFIG else folder / group.path
        files = tuple(
            one
            for one in group.files
            if one.role != "projector" or _belongs(one.name, group, stems)
        )
        licence = listing.card_licence()
        yield FoundModel(place, name, reference, path, files, licence=licence)


def _name(place: Place, folder: Path, path: str) -> str:
    """The file's name; the folder's for a checkpoint, or where the file's name says nothing."""
    bare = _bare(path)
    if path != CONFIG and bare.lower() not in _PLAIN_NAMES:
        return bare
    return "-".join(folder.relative_to(place.path).parts) or place.path.name


def _belongs(projector: str, group: Group, stems: Sequence[str] | set[str]) -> bool:
    """A projector is the model's if there is one model only, or if it bears its name."""
    return len(stems) == 1 or _stem(group.path) in projector.lower()


def _stem(path: str) -> str:
    """A model's name without its quantisation."""
    bare = _bare(path)
    said = label(path)
    cut = bare.lower().rfind(said.lower()) if said else -1
    return bare.lower()[:cut].rstrip("-_.") if cut > 0 else bare.lower()


def _bare(path: str) -> str:
    part = Part.of(path)
    return part.stem if part else path[: -len(".gguf")]


def _is_model(name: str) -> bool:
    return name.lower().endswith(".gguf") and is_model_name(name)


def _unfinished(place: Place, path: Path) -> LeftOut:
    return LeftOut(place, path.name, "incomplete", "not fetched whole", file_size(path) or 0)
