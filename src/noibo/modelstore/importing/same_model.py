"""Whether what has a name in the store is the model that was found, and still as it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from noibo.modelstore.importing.found_model import FoundModel, is_imported, program_of
from noibo.modelstore.manifest import InPlace, Manifest, ModelFile
from noibo.modelstore.store import Store

UNCHANGED: Final = "unchanged"
_WEIGHTS: Final = frozenset({"model", "part", "file"})


def is_meant(here: Manifest, model: FoundModel, store: Store) -> bool:
    """True if the name stands for this model: as it was, as it is, or as another program has it."""
    if here.source == model.provenance.source or _digest(here) in _digests(model):
        return True
    if not is_imported(here.source):
        return False
    whole = all(is_whole(store, one) for one in here.files)
    path = _path_said(here, model)
    if path is not None:
        return not whole or (bool(model.origin) and path.is_relative_to(model.place.path))
    same_origin = bool(model.origin) and here.origin.lower() == model.origin.lower()
    theirs = _sizes((one.role, one.size) for one in model.files)
    return same_origin and whole and theirs == _sizes((o.role, o.file.size) for o in here.files)


def is_current(here: Manifest, files: Sequence[ModelFile], model: FoundModel, store: Store) -> str:
    """Why nothing needs to be done; empty if something does."""
    if not all(is_whole(store, one) for one in here.files):
        return ""
    if here.source == model.provenance.source:
        same = (list(here.files), here.defaults) == (list(files), model.defaults)
        return UNCHANGED if same else ""
    if not is_imported(here.source):
        return "noibo fetched it"
    if _path_said(here, model) is not None:
        return ""  # the same program's, from another commit now
    return f"{program_of(here.source)}'s is used"


def is_whole(store: Store, one: ModelFile) -> bool:
    """True if the file is there, and is the one that was written down as far as can be seen."""
    try:
        status = store.where(one).stat()
    except OSError:
        return False
    if isinstance(one.file, InPlace) and status.st_mtime_ns != one.file.mtime_ns:
        return False
    return status.st_size == one.file.size


def _digest(manifest: Manifest) -> str | None:
    main = next(one for one in manifest.files if one.role in {"model", "file"})
    return main.file.sha256 if main.role == "model" else None


def _digests(model: FoundModel) -> set[str]:
    """Of a model in one file: what tells it from every other."""
    main = model.files[0]
    return {main.sha256} if main.role == "model" and main.sha256 else set()


def _sizes(files: Iterable[tuple[str, int]]) -> list[int]:
    return sorted(size for role, size in files if role in _WEIGHTS)


def _path_said(here: Manifest, model: FoundModel) -> Path | None:
    """Where this model of this program was found before; None if it is another's."""
    start = f"{model.place.program}'s {model.name} at "
    return Path(here.source.removeprefix(start)) if here.source.startswith(start) else None
