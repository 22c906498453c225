"""What the store answers with: a model that is here, all that is here, what a removal did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noibo.errors import StoreError
from noibo.modelstore.manifest import Facts, InPlace, Manifest
from noibo.modelstore.offer import Defaults
from noibo.modelstore.reference import Reference


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that is here and whole. `path` is its GGUF file (the first of several), or the
    folder of its checkpoint; `size` in bytes, `added_at` in seconds since 1970."""

    manifest: Manifest
    path: Path
    projector: Path | None = None
    adapters: tuple[Path, ...] = ()

    @property
    def reference(self) -> Reference:
        return self.manifest.reference

    @property
    def size(self) -> int:
        return self.manifest.size

    @property
    def licence(self) -> str | None:
        return self.manifest.licence.name

    @property
    def source(self) -> str:
        return self.manifest.source

    @property
    def added_at(self) -> float:
        return self.manifest.added_at

    @property
    def in_place(self) -> bool:
        return any(isinstance(one.file, InPlace) for one in self.manifest.files)

    @property
    def facts(self) -> Facts:
        return self.manifest.facts

    @property
    def defaults(self) -> Defaults:
        return self.manifest.defaults

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        main = next(one for one in self.manifest.files if one.role in {"model", "file"})
        return {
            "name": str(self.reference),
            "path": str(self.path),
            "size": self.size,
            "sha256": main.file.sha256,
            "files": len(self.manifest.files),
            "format": self.facts.format,
            "in_place": self.in_place,
            "source": self.source,
            "origin": self.manifest.origin,
            "licence": self.licence,
            "architecture": self.facts.architecture,
            "quantisation": self.facts.quantisation,
            "parameters": self.facts.parameters,
            "context_length": self.facts.context_length,
            "added_at": self.added_at,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """All that is in the store: models that can be used, and what is wrong with the others."""

    models: list[StoredModel]
    problems: list[StoreError]


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did, in bytes: freed, still used by other models, never ours."""

    reference: Reference
    freed: int = 0
    shared: int = 0
    in_place: int = 0
