"""The models on this machine.

    blobs/sha256-<hex>                            files, each once, named by what is in them
    manifests/<host>/<namespace>/<name>/<tag>.json   which files a name means, where from
    views/<digest>/                               links to blobs under the names an engine looks for
    partial/                                      downloads under way, and the locks on them

A model that was added or imported stays where it lies: only its manifest is here, and its files
are never deleted.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noibo.errors import (
    BadModelFile,
    BadReference,
    LicenceRefused,
    ModelNotFound,
    NoiboError,
    StoreError,
)
from noibo.modelstore import catalog, licences, views
from noibo.modelstore.disk import faults_named, turn
from noibo.modelstore.manifest import (
    Facts,
    InPlace,
    InStore,
    Licence,
    Manifest,
    ModelFile,
    Provenance,
)
from noibo.modelstore.offer import Defaults, Fetched
from noibo.modelstore.origin import reference_of
from noibo.modelstore.pieces_table import table_of
from noibo.modelstore.progress import ignore
from noibo.modelstore.reference import DEFAULT_HOST, DEFAULT_NAMESPACE, Reference
from noibo.modelstore.runnable import describe_files, files_of
from noibo.modelstore.wants import Wants


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


class Store:
    """Reads and writes one store folder. Nothing is made before something is written."""

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.time,
        allowed_licences: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._allowed = tuple(allowed_licences)
        self.partial = folder / "partial"
        self.blobs = folder / "blobs"
        self.views = folder / "views"
        self._manifests = folder / "manifests"
        self._now = now

    def get(self, name: str | Reference) -> StoredModel:
        """The model of that name or catalogue alias.

        Raises `ModelNotFound`, or `StoreError` when a file of it changed or is gone.
        """
        asked = name if isinstance(name, Reference) else reference_of(name)
        manifest = self._manifest(asked)
        if manifest is None:
            raise self._not_found(asked)
        return self._whole(manifest)

    def exact(self, reference: Reference) -> Manifest | None:
        """What is written down under just this name, whole or not."""
        path = self._written(reference)
        return self._read(path, reference) if path else None

    def list(self) -> list[StoredModel]:
        """The models that can be used, by name."""
        return self.survey().models

    def survey(self) -> Survey:
        """Every model, and every manifest or file that is not as it should be."""
        seen = Survey([], [])
        for path, reference in self.manifests():
            try:
                seen.models.append(self._whole(Manifest.read(path, reference)))
            except FileNotFoundError:
                continue  # removed while we looked
            except StoreError as exc:
                seen.problems.append(exc)
        return seen

    def add(self, path: Path, name: str | None = None) -> StoredModel:
        """Use a GGUF file or a checkpoint folder where it lies.

        Raises `BadModelFile`, `LicenceRefused`, or `StoreError` for a taken name.
        """
        path = path.expanduser().absolute()
        files = files_of(path)
        reference = reference_of(name) if name else Reference.from_file_name(path.stem)
        taken = self.exact(reference)
        if taken is not None and not _same_files(taken.files, files):
            raise StoreError(
                f"There is already a model named {reference}.",
                next_step=f"Give another name (`noibo add {path.name} --name NAME`), or remove it: "
                f"`noibo rm {reference}`.",
            )
        return self.keep(reference, files, Provenance(f"file {path}"))

    def keep(
        self,
        reference: Reference,
        files: Sequence[ModelFile],
        provenance: Provenance,
        wants: Wants | None = None,
    ) -> StoredModel:
        """Give files a name, after their headers were read. `wants` is the note of the pull that
        brought them: the manifest takes its place.

        Raises `BadModelFile` or `LicenceRefused`; blobs are removed then, unless another model
        uses them.
        """
        try:
            facts, said = describe_files([(one.role, one.name, self.where(one)) for one in files])
            given = provenance.licence
            found = Licence(given.name or said.name, given.text, given.link or said.link)
            self.require_allowed(found, str(reference))
        except (BadModelFile, LicenceRefused):
            if wants is not None:
                wants.drop()
            self._free_all(files)
            raise
        manifest = Manifest(
            model=str(reference),
            files=tuple(files),
            source=provenance.source,
            origin=provenance.origin,
            licence=found,
            added_at=self._now(),
            facts=facts,
            defaults=provenance.defaults,
        )
        before = self.exact_or_none(reference)
        path = self._manifest_file(reference)
        manifest.write(path)
        if (first := self._first_file(reference)) != path:
            first.unlink(missing_ok=True)
        if wants is not None:
            wants.drop()
        if before:
            self._free_all(before.files)  # what the name meant before
        return self._whole(manifest)

    def require_allowed(self, licence: Licence, model: str) -> None:
        """Raise `LicenceRefused` if models of that licence may not be had or loaded here."""
        licences.require_allowed(licences.classify(licence.said), self._allowed, model)

    def remove(self, name: str | Reference) -> Removed:
        """Forget a model. A file that was added or imported in place is left alone."""
        asked = name if isinstance(name, Reference) else reference_of(name)
        path, reference = self._find(asked)
        if path is None:
            raise self._not_found(asked)
        try:
            files = Manifest.read(path, reference).files
        except (FileNotFoundError, StoreError):
            files = ()  # damaged: nothing is known but its name
        with faults_named(self.folder):
            path.unlink(missing_ok=True)
            self._drop_empty(path.parent)
        freed = shared = in_place = 0
        for one in files:
            if isinstance(one.file, InPlace):
                in_place += one.file.size
                continue
            now = self.free(one.file)
            freed, shared = freed + now, shared + (0 if now else one.file.size)
        self.drop_views()
        return Removed(reference, freed, shared, in_place)

    def blob(self, sha256: str) -> Path:
        """Where the file with that digest lies, or would."""
        return self.blobs / f"sha256-{sha256}"

    def lock_file(self, key: str) -> Path:
        """The lock of everybody who writes or removes that blob, or pulls that model."""
        return self.partial / f"{key}.lock"

    def take(self, fetched: Fetched) -> InStore:
        """Move a file that was fetched, and the table of its pieces, among the blobs."""
        blob = self.blob(fetched.sha256)
        with faults_named(self.blobs):
            self.blobs.mkdir(parents=True, exist_ok=True)
            table = table_of(fetched.path)
            if table.exists():
                table.replace(table_of(blob))
            fetched.path.replace(blob)
        return InStore(fetched.sha256, fetched.size)

    def set_aside(self, sha256: str) -> None:
        """Take a damaged blob out of the way: its good pieces need not be fetched again.

        With its table beside it, it becomes the part of a download in which only what is bad is
        missing; without, nobody could tell good from bad, and it goes.
        """
        from noibo.modelstore.pieces import adopt  # an HTTP client comes with it

        blob = self.blob(sha256)
        with faults_named(self.folder):
            if not adopt(blob, table_of(blob), self.partial / blob.name, sha256):
                blob.unlink(missing_ok=True)

    def has_any_of(self, sha256: str) -> bool:
        """True if the blob is here, or was begun."""
        blob = self.blob(sha256)
        return blob.exists() or (self.partial / f"{blob.name}.part").exists()

    def copy_in_place(self, sha256: str) -> InPlace | None:
        """A file of somebody else's with these bytes that a model here uses already, unchanged."""
        for path, reference in self.manifests():
            try:
                manifest = Manifest.read(path, reference)
            except (FileNotFoundError, StoreError):
                continue
            for one in manifest.files:
                if (
                    isinstance(one.file, InPlace)
                    and one.file.sha256 == sha256
                    and _is_unchanged(one.file, Path(one.file.path))
                ):
                    return one.file
        return None

    def where(self, one: ModelFile) -> Path:
        """Where a file of a model lies."""
        if isinstance(one.file, InStore):
            return self.blob(one.file.sha256)
        return Path(one.file.path)

    def free(self, file: InStore) -> int:
        """Remove a blob that no model uses; returns the bytes freed."""
        with turn(self.lock_file(f"sha256-{file.sha256}"), ignore):
            if file.sha256 in self.used():
                return 0
            blob = self.blob(file.sha256)
            size = blob.stat().st_size if blob.exists() else 0
            try:
                blob.unlink(missing_ok=True)
                table_of(blob).unlink(missing_ok=True)
            except PermissionError as exc:  # Windows: it is loaded
                raise StoreError(
                    f"{blob} cannot be removed: {exc.strerror}.",
                    next_step="Unload it first: `noibo stop`.",
                ) from exc
            return size

    def _free_all(self, files: Sequence[ModelFile]) -> None:
        for one in files:
            if isinstance(one.file, InStore):
                self.free(one.file)

    def used(self) -> _Used:
        """The digests that manifests and pulls under way name; all, if one cannot be read."""
        named = {digest for wants in self.wants() for digest in wants.digests}
        for path, reference in self.manifests():
            try:
                named.update(Manifest.read(path, reference).blobs)
            except FileNotFoundError:
                continue
            except StoreError:
                return _Used(named, everything=True)
        return _Used(named)

    def wants(self) -> Sequence[Wants]:
        """What pulls that are under way, or were cut off, still need."""
        return [Wants.read(path) for path in sorted(self.partial.glob("*.wants"))]

    def drop_views(self) -> None:
        """Remove the views that no model looks through."""
        needed = self.views_needed()
        if needed is None or not self.views.is_dir():
            return
        for view in self.views.iterdir():
            if view.name not in needed:
                views.remove(view)

    def views_needed(self) -> set[str] | None:
        """Names of the views in use; None if a manifest cannot be read, so that nobody knows."""
        needed = set()
        for path, reference in self.manifests():
            try:
                needed.add(views.name_of(self._linked(Manifest.read(path, reference).files)))
            except FileNotFoundError:
                continue
            except StoreError:
                return None
        return needed

    def manifests(self) -> Iterator[tuple[Path, Reference]]:
        """Every manifest's path and the name it stands for, by name."""
        found = {}
        for pattern in ("*/*.json", "*/*/*/*.json"):  # the first: schema 1
            for path in self._manifests.glob(pattern):
                if not path.name.startswith("."):
                    reference = _name_of(path.relative_to(self._manifests))
                    if reference is not None:
                        found[reference] = path
        return iter([(path, reference) for reference, path in sorted(found.items())])

    def exact_or_none(self, reference: Reference) -> Manifest | None:
        """As `exact`; None for one that cannot be read."""
        try:
            return self.exact(reference)
        except StoreError:
            return None

    def _whole(self, manifest: Manifest) -> StoredModel:
        """The model, if its files are still the ones that were written down."""
        for one in manifest.files:
            self._require_unchanged(one, manifest)
        by_role: dict[str, list[Path]] = {}
        for one in manifest.files:
            by_role.setdefault(one.role, []).append(self.where(one))
        return StoredModel(
            manifest,
            self._main_path(manifest.files),
            next(iter(by_role.get("projector", [])), None),
            tuple(by_role.get("adapter", [])),
        )

    def _require_unchanged(self, one: ModelFile, manifest: Manifest) -> None:
        path, name = self.where(one), manifest.reference
        if isinstance(one.file, InStore):
            again = f"Fetch it again: `noibo pull {manifest.origin or name}`."
        elif manifest.origin or not manifest.source.startswith("file "):
            again = f"`noibo import` looks again at what is there; or `noibo rm {name}`."
        else:
            again = f"Add it again: `noibo add {path} --name {name}`, or `noibo rm {name}`."
        if not path.exists():
            raise StoreError(f"The file of {name} is gone: {path}.", next_step=again)
        if not _is_unchanged(one.file, path):
            raise StoreError(f"The file of {name} has changed: {path}.", next_step=again)

    def _main_path(self, files: Sequence[ModelFile]) -> Path:
        """What an engine is given: a file, or a folder."""
        linked = self._linked(files)
        first = next(one for one in files if one.role in {"model", "file"})
        if isinstance(first.file, InPlace):
            path = self.where(first)
            return path if first.role == "model" else _folder_of(path, first.name)
        if first.role == "model" and len(linked) == 1:
            return self.where(first)
        view = self.views / views.name_of(linked)
        if not views.is_whole(view, linked):
            views.build(view, linked)
        return view / first.name if first.role == "model" else view

    def _linked(self, files: Sequence[ModelFile]) -> Sequence[tuple[str, Path]]:
        """The files that must lie side by side under their names."""
        return [
            (one.name, self.where(one)) for one in files if one.role in {"model", "part", "file"}
        ]

    def _manifest(self, asked: Reference) -> Manifest | None:
        path, reference = self._find(asked)
        return self._read(path, reference) if path else None

    def _find(self, asked: Reference) -> tuple[Path | None, Reference]:
        """The manifest's path: by its own name, else by what the catalogue calls it."""
        for reference in (asked, *_other_names(asked)):
            path = self._written(reference)
            if path is not None:
                return path, reference
        return None, asked

    def _written(self, reference: Reference) -> Path | None:
        for path in (self._manifest_file(reference), self._first_file(reference)):
            try:
                if path.exists():
                    return path
            except OSError:  # a name too long for this file system
                continue
        return None

    @staticmethod
    def _read(path: Path, reference: Reference) -> Manifest | None:
        try:
            return Manifest.read(path, reference)
        except FileNotFoundError:
            return None

    def _manifest_file(self, reference: Reference) -> Path:
        return self._manifests / f"{reference.path}.json"

    def _first_file(self, reference: Reference) -> Path:
        """Where schema 1 had it."""
        if (reference.host, reference.namespace) != (DEFAULT_HOST, DEFAULT_NAMESPACE):
            return self._manifest_file(reference)
        return self._manifests / reference.name / f"{reference.tag}.json"

    def _drop_empty(self, folder: Path) -> None:
        while folder != self._manifests and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _not_found(self, asked: Reference) -> ModelNotFound:
        here = [str(reference) for _, reference in self.manifests()]
        if _other_names(asked):
            next_step = f"Fetch it: `noibo pull {asked}`."
        elif near := difflib.get_close_matches(str(asked), here, n=1, cutoff=0.5):
            next_step = f"Did you mean {near[0]}? `noibo list` shows what is here."
        else:
            next_step = f"`noibo list` shows what is here; `noibo pull {asked}` may fetch it."
        return ModelNotFound(f"There is no model named {asked} here.", next_step=next_step)


@dataclass(frozen=True, slots=True)
class _Used:
    named: set[str]
    everything: bool = False

    def __contains__(self, sha256: object) -> bool:
        return self.everything or sha256 in self.named


def _other_names(asked: Reference) -> tuple[Reference, ...]:
    """What else the catalogue calls the same model."""
    try:
        choice = catalog.load().resolve(asked)
    except NoiboError:  # a size or quantisation that does not exist
        return ()
    return (choice.reference, *choice.aliases) if choice else ()


def _name_of(path: Path) -> Reference | None:
    """The name a manifest's place stands for; None for a file that is no manifest of ours."""
    *before, name, file = path.parts
    try:
        if not before:
            return Reference(name, file.removesuffix(".json"))
        host, namespace = before
        return Reference(name, file.removesuffix(".json"), namespace, host.replace("+", ":"))
    except BadReference:
        return None


def _same_files(known: Sequence[ModelFile], fresh: Sequence[ModelFile]) -> bool:
    def paths(files: Sequence[ModelFile]) -> set[str]:
        return {getattr(one.file, "path", "") for one in files}

    return paths(known) == paths(fresh) and "" not in paths(known)


def _is_unchanged(file: InStore | InPlace, path: Path) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != file.size:
        return False
    return isinstance(file, InStore) or stat.st_mtime_ns == file.mtime_ns


def _folder_of(path: Path, name: str) -> Path:
    """The checkpoint's folder, from one of its files and that file's name in it."""
    return path.parents[name.count("/")]
