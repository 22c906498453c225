"""Files that lie together, as a repository or a folder holds them: which models they make up.

The same choice as for a repository on the hub (`sources.hub_files`), for what of it is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from noibo.errors import BadModelFile, NotOffered
from noibo.modelstore.checkpoint import CONFIG
from noibo.modelstore.importing.found_model import FoundFile
from noibo.modelstore.importing.strange_tree import file_size, is_text, read_small
from noibo.modelstore.manifest import Licence
from noibo.modelstore.parts import Part
from noibo.modelstore.sources.hub_files import PICKLES, choose
from noibo.modelstore.sources.hub_listing import HubFile
from noibo.modelstore.sources.hub_quants import label

MAX_CARD: Final = 2**20
UNFINISHED: Final = (".part", ".partial", ".incomplete", ".downloadInProgress", ".crdownload")
_LINE: Final = re.compile(r"(license|license_name|license_link):\s*(.*)", re.IGNORECASE)
_ITEM: Final = re.compile(r"\s*-\s+(.+)")
_SHARD: Final = re.compile(
    r"(?:.*/)?model(?:-\d{5}-of-\d{5}\.safetensors|\.safetensors\.index\.json)"
)


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one model. `label` is its quantisation, where only it has that one."""

    files: tuple[FoundFile, ...]
    path: str  # its file, the first of several; of a checkpoint, its config.json
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A model that cannot be used."""

    path: str
    status: Literal["incomplete", "left out"]
    why: str


@dataclass(slots=True)
class RepositoryFiles:
    """A listing of what is here. Paths are relative, with "/"."""

    files: dict[str, FoundFile] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)  # named here, and not to be had
    odd: set[str] = field(default_factory=set)  # with a path that is no text

    def add(self, path: str, where: Path, sha256: str | None = None) -> None:
        """Take up a file. One that is gone is remembered as missing."""
        size = file_size(where)
        if size is None:
            self.missing.add(path)
        elif is_text(where):
            self.files[path] = FoundFile("file", path, where, size, sha256)
        elif path.lower().endswith(".gguf"):
            self.odd.add(path)

    def groups(self) -> Iterator[Group | Gap]:
        """Every model among the files: the GGUF files, else the checkpoint."""
        gguf = [path for path in (*self.files, *self.missing) if path.lower().endswith(".gguf")]
        heads = [path for path in sorted(gguf) if is_model_name(path) and self._is_head(path, gguf)]
        labels = [label(path) for path in heads]
        for path, said in zip(heads, labels, strict=True):
            yield self._gguf(path, said if labels.count(said) == 1 else None)
        for path in sorted(self.odd):
            yield Gap(path, "left out", "its path is no text that could be written down")
        if not gguf and CONFIG in self.files:
            yield from self._checkpoint()

    def card_licence(self) -> Licence:
        """What the model card (README.md) says of the licence."""
        card = self.files.get("README.md")
        return _card_licence(card.path) if card else Licence()

    @staticmethod
    def _is_head(path: str, gguf: list[str]) -> bool:
        """Not one of the later parts of a model whose first part is here too."""
        part = Part.of(path)
        return part is None or part.number == 1 or part.path(1) not in gguf

    def _gguf(self, path: str, said: str | None) -> Group | Gap:
        if path in self.missing:
            return Gap(path, "incomplete", "its file is gone, or not fetched whole")
        try:
            chosen = choose(self._listing(), "", None, path)
        except NotOffered:
            part = Part.of(path)
            count = part.count if part else 0
            there = (
                sum(part.path(n) in self.files for n in range(1, min(count, 999) + 1))
                if part
                else 0
            )
            return Gap(path, "incomplete", f"{there} of its {count} parts are here")
        return Group(tuple(self._found(one.role, one.file.path) for one in chosen), path, said)

    def _checkpoint(self) -> Iterator[Group | Gap]:
        try:
            chosen = choose(self._listing(), "")
        except NotOffered:
            yield from self._no_checkpoint()
            return
        if self.missing:
            yield Gap(CONFIG, "incomplete", f"{min(self.missing)} is gone, or not fetched whole")
            return
        yield Group(tuple(self._found("file", one.file.path) for one in chosen), CONFIG)

    def _no_checkpoint(self) -> Iterator[Gap]:
        paths = {*self.files, *self.missing}
        if any(_SHARD.fullmatch(path) for path in paths) or "model.safetensors" in self.missing:
            yield Gap(CONFIG, "incomplete", "a part of its safetensors is not here")
        elif any(path.endswith("adapter_model.safetensors") for path in paths):
            yield Gap(CONFIG, "left out", "an adapter (LoRA), not a model by itself")
        elif any(path.lower().endswith(PICKLES) for path in paths):
            yield Gap(CONFIG, "left out", "its weights are Python pickles, which are never read")

    def _listing(self) -> list[HubFile]:
        return [HubFile(path, one.size) for path, one in self.files.items()]

    def _found(self, role: str, path: str) -> FoundFile:
        one = self.files[path]
        name = path if role == "file" else path.rpartition("/")[2]
        return FoundFile(role, name, one.path, one.size, one.sha256)  # type: ignore[arg-type]


def is_model_name(path: str) -> bool:
    """False for a projector's name. What else a GGUF file may be, its header says."""
    return "mmproj" not in path.rpartition("/")[2].lower()


def is_unfinished(name: str) -> bool:
    """True for the name of a download that has not ended."""
    return name.endswith(UNFINISHED) or name.startswith(("incomplete-", "downloading_"))


def _card_licence(path: Path) -> Licence:
    """From the lines between `---` and `---` at the top. Not YAML as a whole: three keys of it."""
    try:
        lines = read_small(path, MAX_CARD).decode("utf-8", "replace").splitlines()
    except BadModelFile:
        return Licence()
    if not lines or lines[0].strip() != "---":
        return Licence()
    said = dict(_front_matter(lines[1:]))
    name = said.get("license")
    if name in {None, "other"}:
        name = said.get("license_name") or name
    link = said.get("license_link", "")
    return Licence(name, link=link if link.startswith(("https://", "http://")) else None)


def _front_matter(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    key, items = "", []
    for line in lines:
        item = _ITEM.fullmatch(line)
        if key and item:
            items.append(item[1].strip().strip("\"'"))
            continue
        if items:
            yield key, ", ".join(items[:5])
        found = _LINE.fullmatch(line)
        key, items = (found[1].lower(), []) if found else ("", [])
        value = found[2].partition(" #")[0].strip().strip("\"'") if found else ""
        if value.startswith("["):
            value = ", ".join(one.strip(" \"'") for one in value.strip("[]").split(","))
        if value and value.isprintable() and len(value) <= 200:
            yield key, value
            key = ""
        if line.strip() == "---":
            return
