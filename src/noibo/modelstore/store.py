"""The models on this machine.

    blobs/sha256-<hex>            files, each once, named by what is in them
    manifests/<name>/<tag>.json   which file a name means, and where it came from
    partial/                      downloads under way, and the locks on them

A model that was added stays where it lies: only its manifest is here, and it is never deleted.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noibo.errors import BadModelFile, ModelNotFound, StoreError
from noibo.modelstore import catalog, model_info
from noibo.modelstore.disk import turn
from noibo.modelstore.manifest import Facts, InPlace, InStore, Manifest
from noibo.modelstore.progress import ignore
from noibo.modelstore.reference import Reference


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that is here and whole. `size` in bytes, `added_at` in seconds since 1970."""

    manifest: Manifest
    path: Path

    @property
    def reference(self) -> Reference:
        return self.manifest.reference

    @property
    def size(self) -> int:
        return self.manifest.file.size

    @property
    def licence(self) -> str | None:
        return self.manifest.licence

    @property
    def source(self) -> str:
        return self.manifest.source

    @property
    def added_at(self) -> float:
        return self.manifest.added_at

    @property
    def in_place(self) -> bool:
        return isinstance(self.manifest.file, InPlace)

    @property
    def facts(self) -> Facts:
        return self.manifest.facts

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": str(self.reference),
            "path": str(self.path),
            "size": self.size,
            "sha256": getattr(self.manifest.file, "sha256", None),
            "in_place": self.in_place,
            "source": self.source,
            "licence": self.licence,
            "architecture": self.facts.architecture,
            "quantisation": self.facts.quantisation,
            "parameters": self.facts.parameters,
            "added_at": self.added_at,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """All that is in the store: models that can be used, and what is wrong with the others."""

    models: list[StoredModel]
    problems: list[StoreError]


class Store:
    """Reads and writes one store folder. Nothing is made before something is written."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.partial = folder / "partial"
        self._blobs = folder / "blobs"
        self._manifests = folder / "manifests"
        self._now = now

    def get(self, name: str | Reference) -> StoredModel:
        """The model of that name or catalogue alias.

        Raises `ModelNotFound`, or `StoreError` when its file changed or is gone.
        """
        asked = name if isinstance(name, Reference) else Reference.parse(name)
        manifest = self._manifest(asked)
        if manifest is None:
            raise self._not_found(asked)
        return self._whole(manifest)

    def list(self) -> list[StoredModel]:
        """The models that can be used, by name."""
        return self.survey().models

    def survey(self) -> Survey:
        """Every model, and every manifest or file that is not as it should be."""
        seen = Survey([], [])
        for path in self._manifest_files():
            try:
                seen.models.append(self._whole(Manifest.read(path)))
            except FileNotFoundError:
                continue  # removed while we looked
            except StoreError as exc:
                seen.problems.append(exc)
        return seen

    def add(self, path: Path, name: str | None = None) -> StoredModel:
        """Use a GGUF file where it lies; raises `BadModelFile`, `StoreError` for a taken name."""
        path = path.expanduser().absolute()
        info = model_info.inspect_model(path)
        _require_runnable(path, info)
        reference = Reference.parse(name) if name else Reference.from_file_name(path.stem)
        stat = path.stat()
        file = InPlace(str(path), stat.st_size, stat.st_mtime_ns)
        taken = self._read(reference)
        if taken is not None and getattr(taken.file, "path", None) != file.path:
            raise StoreError(
                f"There is already a model named {reference}.",
                next_step=f"Give another name (`noibo add {path.name} --name NAME`), or remove it: "
                f"`noibo rm {reference}`.",
            )
        return self._record(reference, file, f"file {path}", info.licence, Facts.of(info))

    def keep(self, reference: Reference, sha256: str, source: str, licence: str) -> StoredModel:
        """Give a blob a name, after its header was read; a blob that is no model is removed."""
        blob = self.blob(sha256)
        try:
            info = model_info.inspect_model(blob)
            _require_runnable(blob, info)
        except BadModelFile:
            blob.unlink(missing_ok=True)
            raise
        file = InStore(sha256, blob.stat().st_size)
        return self._record(reference, file, source, licence, Facts.of(info))

    def remove(self, name: str | Reference) -> int:
        """Forget a model; returns the bytes freed. A file added in place is left alone."""
        asked = name if isinstance(name, Reference) else Reference.parse(name)
        path = self._find(asked)
        if path is None:
            raise self._not_found(asked)
        try:
            file = Manifest.read(path).file
        except StoreError:
            file = None  # damaged: nothing is known but its name
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
        return self._free(file) if isinstance(file, InStore) else 0

    def blob(self, sha256: str) -> Path:
        """Where the file with that digest lies, or would."""
        return self._blobs / f"sha256-{sha256}"

    def lock_file(self, sha256: str) -> Path:
        """The lock of everybody who writes or removes that blob."""
        return self.partial / f"sha256-{sha256}.lock"

    def _record(
        self,
        reference: Reference,
        file: InStore | InPlace,
        source: str,
        licence: str | None,
        facts: Facts,
    ) -> StoredModel:
        manifest = Manifest(
            reference.name, reference.tag, file, source, licence, self._now(), facts
        )
        manifest.write(self._manifest_file(reference))
        return self._whole(manifest)

    def _free(self, file: InStore) -> int:
        with turn(self.lock_file(file.sha256), ignore):
            if self._is_used(file.sha256):
                return 0
            blob = self.blob(file.sha256)
            size = blob.stat().st_size if blob.exists() else 0
            try:
                blob.unlink(missing_ok=True)
            except PermissionError as exc:  # Windows: it is loaded
                raise StoreError(
                    f"{blob} cannot be removed: {exc.strerror}.",
                    next_step="Unload it first: `noibo stop`.",
                ) from exc
            return size

    def _is_used(self, sha256: str) -> bool:
        """True if a manifest names the blob, or one cannot be read and so might."""
        for path in self._manifest_files():
            try:
                if getattr(Manifest.read(path).file, "sha256", None) == sha256:
                    return True
            except FileNotFoundError:
                continue
            except StoreError:
                return True
        return False

    def _whole(self, manifest: Manifest) -> StoredModel:
        """The model, if its file is still the one that was written down."""
        file, name = manifest.file, manifest.reference
        if isinstance(file, InStore):
            path, again = self.blob(file.sha256), f"Fetch it again: `noibo pull {name}`."
        else:
            path = Path(file.path)
            again = f"Add it again: `noibo add {path} --name {name}`, or `noibo rm {name}`."
        try:
            stat = path.stat()
        except OSError:
            raise StoreError(f"The file of {name} is gone: {path}.", next_step=again) from None
        if stat.st_size != file.size or (
            isinstance(file, InPlace) and stat.st_mtime_ns != file.mtime_ns
        ):
            raise StoreError(f"The file of {name} has changed: {path}.", next_step=again)
        return StoredModel(manifest, path)

    def _manifest(self, asked: Reference) -> Manifest | None:
        path = self._find(asked)
        return self._read_file(path) if path else None

    def _find(self, asked: Reference) -> Path | None:
        """The manifest's path: by its own name, else by what the catalogue calls it."""
        path = self._manifest_file(asked)
        if path.exists():
            return path
        entry = catalog.load().find(asked)
        known = self._manifest_file(entry.reference) if entry else path
        return known if known.exists() else None

    def _read(self, reference: Reference) -> Manifest | None:
        return self._read_file(self._manifest_file(reference))

    @staticmethod
    def _read_file(path: Path) -> Manifest | None:
        try:
            return Manifest.read(path)
        except FileNotFoundError:
            return None

    def _manifest_file(self, reference: Reference) -> Path:
        return self._manifests / reference.name / f"{reference.tag}.json"

    def _manifest_files(self) -> Iterator[Path]:
        found = self._manifests.glob("*/*.json")
        return iter(sorted(path for path in found if not path.name.startswith(".")))

    def _not_found(self, asked: Reference) -> ModelNotFound:
        here = [f"{path.parent.name}:{path.stem}" for path in self._manifest_files()]
        if entry := catalog.load().find(asked):
            next_step = f"Fetch it: `noibo pull {entry.reference}`."
        elif near := difflib.get_close_matches(str(asked), here, n=1, cutoff=0.5):
            next_step = f"Did you mean {near[0]}? `noibo list` shows what is here."
        else:
            next_step = f"`noibo list` shows what is here; `noibo pull {asked}` may fetch it."
        return ModelNotFound(f"There is no model named {asked} here.", next_step=next_step)


def _require_runnable(path: Path, info: model_info.ModelInfo) -> None:
    if info.kind != "model":
        raise BadModelFile(
            f"{path} is a GGUF file, but of kind {info.kind!r}, not a model that can answer.",
            next_step=f"`noibo inspect {path}` shows what is in it.",
        )
    if info.part not in {None, 1}:
        raise BadModelFile(
            f"{path} is part {info.part} of {info.parts} of a model.",
            next_step="Add the first part; the engine finds the others beside it.",
        )
