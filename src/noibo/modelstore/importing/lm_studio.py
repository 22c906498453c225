"""LM Studio's models: `PUBLISHER/REPO/*.gguf`, where PUBLISHER/REPO is a repository on the hub.

Which folder holds them, its settings say (`downloadsFolder` in `settings.json` of its home); where
its home is, `~/.lmstudio-home-pointer` says. Older versions had `~/.cache/lm-studio`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import BadModelFile
from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.repository_files import RepositoryFiles, is_unfinished
from noibo.modelstore.importing.repository_models import RepositoryHere
from noibo.modelstore.importing.strange_tree import Look, file_size, read_small
from noibo.modelstore.origin import is_plain_path

_POINTER: Final = ".lmstudio-home-pointer"
_MAX_SETTINGS: Final = 2**20
_OWN: Final = frozenset({"imported-models", "bundled-models", "local"})  # no publishers


class _Settings(msgspec.Struct, rename="camel"):
    downloads_folder: str = ""


def folders(home: Path) -> tuple[Path, ...]:
    """The folders of models of the user whose home that is, there or not."""
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    if pointed := _read(home / _POINTER).strip():
        homes.insert(0, Path(pointed))
    chosen = [_chosen(_read(one / "settings.json")) for one in homes]
    found = [Path(one) for one in chosen if one] + [one / "models" for one in homes]
    return tuple(dict.fromkeys(one for one in found if one.is_absolute()))


def find(place: Place, look: Look) -> Iterator[FoundModel | LeftOut]:
    """The models of every PUBLISHER/REPO, and downloads that have not ended."""
    for publisher in look.folders(place.path, links=True):
        for folder in look.folders(publisher, links=True):
            own = publisher.name in _OWN
            repo = folder.name if own else f"{publisher.name}/{folder.name}"
            yield from _repository(place, folder, repo, look)


def _repository(
    place: Place, folder: Path, repo: str, look: Look
) -> Iterator[FoundModel | LeftOut]:
    listing = RepositoryFiles()
    for below, files in look.walk(folder, 2):
        for path in files:
            name = path.relative_to(folder).as_posix()
            if is_unfinished(path.name):
                begun = name.removesuffix(".part")
                size = file_size(path) or 0
                yield LeftOut(place, f"{repo}/{begun}", "incomplete", "not fetched whole", size)
            elif is_plain_path(name):
                listing.add(name, below / path.name)
    yield from RepositoryHere(place, repo, folder, listing).found()


def _chosen(settings: str) -> str:
    try:
        return msgspec.json.decode(settings, type=_Settings).downloads_folder
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _read(path: Path) -> str:
    try:
        return read_small(path, _MAX_SETTINGS).decode("utf-8", "replace")
    except BadModelFile:
        return ""
