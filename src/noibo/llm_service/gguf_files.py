"""GGUF models that lie in a folder or are named outright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from noibo.engines.engine import Model
from noibo.errors import BadReference
from noibo.modelstore.gguf.model_info import ModelInfo, inspect_model
from noibo.modelstore.importing import model_folder
from noibo.modelstore.importing.found_model import DAMAGE, FoundModel, Place, phrase
from noibo.modelstore.importing.strange_tree import Look
from noibo.modelstore.manifest import Facts, Licence, ModelFile
from noibo.modelstore.offer import Role
from noibo.modelstore.parts import Part
from noibo.modelstore.reference import Reference
from noibo.modelstore.runnable import describe_files, files_of
from noibo.modelstore.sources.hub_quants import label

DEPTH: Final = 3  # folders below the one that was named
Files = Sequence[tuple[Role, str, Path]]


@dataclass(frozen=True, slots=True)
class GgufFile:
    """One GGUF model as it lies there; `path` is its file, or the first of several."""

    path: Path
    files: Files
    facts: Facts
    licence: Licence
    info: ModelInfo

    @classmethod
    def read(cls, path: Path, files: Files) -> GgufFile:
        """By what its headers say. Raises `BadModelFile`."""
        facts, licence = describe_files(files)
        return cls(path, files, facts, licence, inspect_model(path))

    @property
    def stem(self) -> str:
        """The model's name without part and quantisation."""
        part = Part.of(self.path.name)
        bare = part.stem if part else self.path.stem
        said = label(self.path.name)
        cut = bare.lower().rfind(said.lower()) if said else -1
        return bare[:cut].rstrip("-_.") if cut > 0 else bare

    @property
    def quantisation(self) -> str:
        """As its file's name says it, which tells more mixes apart than the header."""
        return label(self.path.name) or self.facts.quantisation or ""

    def is_like(self, other: GgufFile) -> bool:
        """True for the same model in another quantisation."""

        def kind(one: GgufFile) -> tuple[str | None, int | None, str]:
            return one.facts.architecture, one.facts.parameters, one.stem.lower()

        return kind(self) == kind(other)

    def model(self, engine: str) -> Model:
        """As an engine needs to see it."""
        part = Part.of(self.path.name)
        projectors = [path for role, _, path in self.files if role == "projector"]
        return Model(
            name=name_of(part.stem if part else self.path.stem),
            engine=engine,
            path=self.path,
            parameters=self.facts.parameters or 0,
            trained_context=self.facts.context_length or 0,
            projector=projectors[0] if projectors else None,
            info=self.info,
            bytes=sum(path.stat().st_size for _, _, path in self.files),
        )


def one_file(path: Path) -> GgufFile:
    """The model of a file that was named. Raises `BadModelFile` for what is none, for a later part
    of one and where a part is missing."""
    return GgufFile.read(path, [_file(one, path) for one in files_of(path)])


@dataclass(frozen=True, slots=True)
class Inside:
    """What lies in a folder: GGUF models, folders of checkpoints, and what looks like a model and
    is left out, with the reason."""

    files: Sequence[GgufFile]
    checkpoints: Sequence[Path]
    left_out: Sequence[str]


def look_into(folder: Path, depth: int = DEPTH) -> Inside:
    """What lies there, and in the folders below."""
    found: list[GgufFile] = []
    checkpoints: list[Path] = []
    left_out: list[str] = []
    for one in model_folder.find(Place("a folder", folder), Look(), depth=depth):
        if not isinstance(one, FoundModel):
            left_out.append(f"{one.name} ({one.why})")
        elif one.path.suffix.lower() != ".gguf":
            checkpoints.append(one.path)
        else:
            try:
                files = [(each.role, each.name, each.path) for each in one.files]
                found.append(GgufFile.read(one.path, files))
            except DAMAGE as fault:
                left_out.append(f"{one.path.name} ({phrase(fault)})")
    return Inside(found, checkpoints, left_out)


def _file(one: ModelFile, path: Path) -> tuple[Role, str, Path]:
    return one.role, one.name, path.parent / one.name


def name_of(stem: str) -> str:
    """A model's name by that of its file or folder."""
    try:
        return str(Reference.from_file_name(stem))
    except BadReference:  # of signs only
        return str(Reference("model"))
