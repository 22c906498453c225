"""The cache of Hugging Face's library: `models--ORG--REPO/{refs,snapshots,blobs}`.

A snapshot is a commit: links named like the repository's files, to blobs named by what is in them
(of large files, the SHA-256). Where links cannot be made, the files stand in the snapshot itself.
Since 2026 a blob may itself be a link, into `blobs/` of the whole cache.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from noibo.errors import BadModelFile
from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.repository_files import RepositoryFiles
from noibo.modelstore.importing.repository_models import RepositoryHere
from noibo.modelstore.importing.strange_tree import Look, file_size, is_within, read_small
from noibo.modelstore.origin import is_plain_path

FOLDER_START: Final = "models--"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DEPTH: Final = 4  # folders inside a repository


def is_hub_cache(folder: Path, look: Look) -> bool:
    """True if repositories lie in it."""
    return any(one.name.startswith(FOLDER_START) for one in look.folders(folder, links=True))


def find(place: Place, look: Look) -> Iterator[FoundModel | LeftOut]:
    """The models of every repository: of the commit that `main` is, then of others."""
    for folder in look.folders(place.path, links=True):
        if folder.name.startswith(FOLDER_START):
            yield from _Repository(place, folder, look).found()


class _Repository:
    """One repository's folder."""

    def __init__(self, place: Place, folder: Path, look: Look) -> None:
        self._place = place
        self._folder = folder
        self._look = look
        self._repo = "/".join(folder.name.split("--")[1:])
        self._inside = (folder, place.path / "blobs")

    def found(self) -> Iterator[FoundModel | LeftOut]:
        seen: set[str] = set()
        gaps: dict[str, LeftOut] = {}
        for snapshot in self._snapshots():
            for one in self._here(snapshot).found():
                if isinstance(one, LeftOut):
                    gaps.setdefault(one.name, one)
                elif one.name not in seen:  # the same at an older commit
                    seen.add(one.name)
                    yield one
        yield from (gap for name, gap in gaps.items() if name not in seen)
        yield from self._unfinished()

    def _here(self, snapshot: Path) -> RepositoryHere:
        listing = RepositoryFiles()
        for _, files in self._look.walk(snapshot, _DEPTH):
            for path in files:
                name = path.relative_to(snapshot).as_posix()
                if is_plain_path(name):
                    self._take_up(listing, name, path)
        return RepositoryHere(self._place, self._repo, snapshot, listing)

    def _take_up(self, listing: RepositoryFiles, name: str, path: Path) -> None:
        if not path.is_symlink():
            listing.add(name, path)
        elif is_within(path, *self._inside):
            listing.add(name, path, _digest(path))
        else:
            listing.missing.add(name)  # its blob is gone, or it leads somewhere else

    def _snapshots(self) -> list[Path]:
        """What `main` is first, then the newest."""
        folders = self._look.folders(self._folder / "snapshots")
        main = self._main()
        return sorted(folders, key=lambda one: (one.name != main, -_changed(one)))

    def _main(self) -> str:
        try:
            return read_small(self._folder / "refs" / "main", 200).decode("ascii").strip()
        except (BadModelFile, UnicodeDecodeError):
            return ""

    def _unfinished(self) -> Iterator[LeftOut]:
        """Downloads that were begun. Which file it is, the cache does not say."""
        entries = self._look.entries(self._folder / "blobs")
        begun = [Path(one.path) for one in entries if one.name.endswith(".incomplete")]
        if begun:
            name = f"hf.co/{self._repo}" if "/" in self._repo else self._repo
            size = sum(file_size(path) or 0 for path in begun)
            files = f"{len(begun)} files" if len(begun) > 1 else "a file"
            yield LeftOut(self._place, name, "incomplete", f"{files} not fetched whole", size)


def _digest(link: Path) -> str | None:
    """What the blob behind a link is called, if that is a SHA-256."""
    try:
        target = link.readlink()
    except OSError:
        return None
    is_blob = target.parent.name == "blobs" and _SHA256.fullmatch(target.name)
    return target.name if is_blob else None


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
