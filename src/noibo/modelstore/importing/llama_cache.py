"""llama.cpp's own cache: `ORG_REPO_FILE.gguf`, and `manifest=ORG=REPO=TAG.json` that says which.

Beside a file, `FILE.gguf.etag` holds what the hub calls its content: the SHA-256. Since March 2026
llama.cpp keeps models as Hugging Face's library does, below LLAMA_CACHE where that is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import BadModelFile, BadReference
from noibo.modelstore.importing import hub_cache, model_folder
from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.repository_files import Gap, RepositoryFiles
from noibo.modelstore.importing.strange_tree import Look, read_small
from noibo.modelstore.origin import is_plain_path, parse
from noibo.modelstore.parts import MAX_PARTS, Part

_MANIFEST: Final = re.compile(r"manifest=([^=/]+)=([^=/]+)=([^=/]+)\.json")
_ETAG: Final = re.compile(r'"?([0-9a-f]{64})"?')
_MAX_MANIFEST: Final = 2**20


class _File(msgspec.Struct, frozen=True):
    rfilename: str = ""


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    gguf_file: _File = _File()
    mmproj_file: _File = _File()


def find(place: Place, look: Look) -> Iterator[FoundModel | LeftOut]:
    """The models that manifests name, then files without one; then the hub's layout."""
    known: set[str] = set()
    for entry in look.entries(place.path):
        match = _MANIFEST.fullmatch(entry.name)
        if match:
            for one in _named(place, Path(entry.path), match):
                known.update(file.path.name for file in getattr(one, "files", ()))
                yield one
    yield from model_folder.find(place, look, frozenset(known), depth=0)
    yield from hub_cache.find(place, look)


def _named(place: Place, path: Path, match: re.Match[str]) -> Iterator[FoundModel | LeftOut]:
    org, repo, tag = match.groups()
    try:
        origin = parse(f"hf.co/{org}/{repo}" + ("" if tag == "latest" else f":{tag}"))
        said = msgspec.json.decode(read_small(path, _MAX_MANIFEST), type=_Manifest)
    except (BadReference, BadModelFile, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield LeftOut(place, path.name, "damaged", "it cannot be read")
        return
    listing = RepositoryFiles()
    main = _flat(org, repo, said.gguf_file.rfilename)
    for name in (main, _flat(org, repo, said.mmproj_file.rfilename)):
        if name:
            _take_up(listing, place.path, name)
    for group in listing.groups():
        if isinstance(group, Gap):
            yield LeftOut(place, str(origin), group.status, group.why)
        else:
            file = place.path / main
            yield FoundModel(place, str(origin), origin.reference, file, group.files, str(origin))


def _take_up(listing: RepositoryFiles, folder: Path, name: str) -> None:
    """The file, and of a split one every part."""
    part = Part.of(name)
    count = min(part.count, MAX_PARTS) if part else 1
    for number in range(1, count + 1):
        one = part.path(number) if part else name
        listing.add(one, folder / one, _digest(folder / f"{one}.etag"))


def _flat(org: str, repo: str, file: str) -> str:
    """How llama.cpp writes a repository's file into one folder."""
    name = f"{org}_{repo}_{file}".replace("/", "_")
    return name if file and is_plain_path(name) else ""


def _digest(etag: Path) -> str | None:
    try:
        found = _ETAG.fullmatch(read_small(etag, 200).decode("ascii").strip())
    except (BadModelFile, UnicodeDecodeError):
        return None
    return found[1] if found else None
