"""The models on this machine.

    blobs/sha256-<hex>      files, each once, named by what is in them; `.pieces` beside them: see
                            `pieces_table`
    manifests/              which files a name means, and where they came from: see `register`
    views/<digest>/         links to blobs under the names an engine looks for: see `views`
    partial/                downloads under way, what pulls want, and locks: `X.lock` protects
                            every file there whose name starts with X

A model that was added or imported stays where it lies: only its manifest is here, and its files
are never deleted. Whoever changes which model uses which blob holds the store's lock for that
moment (`changing`); what a pull brings is noted in its wants before it is among the blobs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from noibo.errors import BadModelFile, LicenceRefused, NameTaken, StoreError
from noibo.modelstore import views
from noibo.modelstore.catalog import licences
from noibo.modelstore.disk import faults_named
from noibo.modelstore.download.pieces_table import table_of
from noibo.modelstore.manifest import (
    InPlace,
    InStore,
    Licence,
    Manifest,
    ModelFile,
    Provenance,
)
from noibo.modelstore.offer import Fetched
from noibo.modelstore.origin import reference_of
from noibo.modelstore.reference import Reference
from noibo.modelstore.register import Register
from noibo.modelstore.runnable import describe_files, files_of
from noibo.modelstore.stored_model import Removed, StoredModel, Survey
from noibo.modelstore.wants import Wants

__all__ = ["Removed", "Store", "StoredModel", "Survey", "Used"]


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
        self.register = Register(folder / "manifests")
        self._lock = FileLock(self.partial / "store.lock")
        self._now = now

    def get(self, name: str | Reference) -> StoredModel:
        """The model of that name or catalogue alias.

        Raises `ModelNotFound`, or `StoreError` when a file of it changed or is gone.
        """
        path, reference = self.register.find(_named(name))
        try:
            return self._whole(Manifest.read(path, reference))
        except FileNotFoundError:  # removed while we looked
            return self.get(reference)

    def list(self) -> list[StoredModel]:
        """The models that can be used, by name."""
        return self.survey().models

    def survey(self) -> Survey:
        """Every model, and every manifest or file that is not as it should be."""
        manifests, problems = self.register.readable()
        seen = Survey([], problems)
        for manifest in manifests:
            try:
                seen.models.append(self._whole(manifest))
            except StoreError as exc:
                seen.problems.append(exc)
        return seen

    def add(self, path: Path, name: str | None = None) -> StoredModel:
        """Use a GGUF file or a checkpoint folder where it lies.

        Raises `BadModelFile`, `LicenceRefused`, `NameTaken`.
        """
        path = path.expanduser().absolute()
        files = files_of(path)
        reference = reference_of(name) if name else Reference.from_file_name(path.stem)
        taken = self.register.exact(reference)
        if taken is not None and not _same_files(taken.files, files):
            raise NameTaken(
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
            with self.changing():
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
        with self.changing():
            model = self._whole(manifest)  # before it is written: nothing of it is gone
            before = self.register.exact_or_none(reference)
            self.register.write(manifest)
            if wants is not None:
                wants.drop()
            if before:  # what the name meant until now
                self._free_all(before.files)
                self._drop_views()
        return model

    def require_allowed(self, licence: Licence, model: str) -> None:
        """Raise `LicenceRefused` if models of that licence may not be had or loaded here."""
        if not self._allowed:
            return  # all may: the list of licences need not be read
        licences.require_allowed(licences.classify(licence.said), self._allowed, model)

    def remove(self, name: str | Reference) -> Removed:
        """Forget a model. A file that was added or imported in place is left alone."""
        with self.changing():
            path, reference = self.register.find(_named(name))
            try:
                files = Manifest.read(path, reference).files
            except (FileNotFoundError, StoreError):
                files = ()  # damaged: nothing is known but its name
            with faults_named(self.folder):
                self.register.drop(path)
            self._drop_views()  # first: a link keeps the bytes
            freed = self._free_all(files)
        ours = sum(size for _, size in {(f.sha256, f.size) for f in _blobs(files)})
        theirs = sum(one.file.size for one in files if isinstance(one.file, InPlace))
        return Removed(reference, freed, ours - freed, theirs)

    # The files

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """The moment in which it is settled which model uses which blob: one noibo at a time."""
        with faults_named(self.folder):
            self.partial.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield

    def blob(self, sha256: str) -> Path:
        """Where the file with that digest lies, or would."""
        return self.blobs / f"sha256-{sha256}"

    def lock_file(self, key: str) -> Path:
        """The lock of everybody who brings that blob, or pulls that model."""
        return self.partial / f"{key}.lock"

    def where(self, one: ModelFile) -> Path:
        """Where a file of a model lies."""
        if isinstance(one.file, InStore):
            return self.blob(one.file.sha256)
        return Path(one.file.path)

    def take(self, fetched: Fetched, wants: Wants) -> InStore:
        """Move a file that was fetched, and the table of its pieces, among the blobs."""
        blob = self.blob(fetched.sha256)
        with self.changing(), faults_named(self.blobs):
            wants.add(fetched.sha256)
            self.blobs.mkdir(parents=True, exist_ok=True)
            table = table_of(fetched.path)
            if table.exists():
                table.replace(table_of(blob))
            fetched.path.replace(blob)
        return InStore(fetched.sha256, fetched.size)

    def set_aside(self, sha256: str) -> None:
        """Make a damaged blob the part of a download in which only what is bad is missing.

        Without the table of its pieces nobody could tell good from bad: it stays until a good one
        takes its place.
        """
        from noibo.modelstore.download.pieces import adopt  # an HTTP client comes with it

        blob = self.blob(sha256)
        with self.changing(), faults_named(self.folder):
            adopt(blob, table_of(blob), self.partial / blob.name, sha256)

    def has_any_of(self, sha256: str) -> bool:
        """True if the blob is here, or was begun."""
        blob = self.blob(sha256)
        return blob.exists() or (self.partial / f"{blob.name}.part").exists()

    def copy_in_place(self, sha256: str) -> InPlace | None:
        """A file of somebody else's that a model here uses, unchanged, and that claims to have
        these bytes."""
        for manifest in self.register.readable()[0]:
            for one in manifest.files:
                if (
                    isinstance(one.file, InPlace)
                    and one.file.sha256 == sha256
                    and _is_unchanged(one.file, Path(one.file.path))
                ):
                    return one.file
        return None

    def used(self) -> Used:
        """The digests that manifests and pulls name; all, if a manifest cannot be read."""
        manifests, problems = self.register.readable()
        named = {digest for wants in self.wants() for digest in wants.digests}
        named.update(digest for manifest in manifests for digest in manifest.blobs)
        return Used(named, everything=bool(problems))

    def wants(self) -> Sequence[Wants]:
        """What pulls that are under way, or were cut off, still need."""
        return [Wants.read(path) for path in sorted(self.partial.glob("*.wants"))]

    def free(self, file: InStore) -> int:
        """Remove a blob that nothing uses; returns the bytes freed."""
        with self.changing():
            return 0 if file.sha256 in self.used() else self._unlink(self.blob(file.sha256))

    def views_needed(self) -> set[str] | None:
        """Names of the views in use; None if a manifest cannot be read, so that nobody knows."""
        manifests, problems = self.register.readable()
        if problems:
            return None
        return {views.name_of(self._linked(manifest.files)) for manifest in manifests}

    def _free_all(self, files: Sequence[ModelFile]) -> int:
        blobs = {file.sha256: file for file in _blobs(files)}
        return sum(self.free(file) for file in blobs.values())

    def _unlink(self, blob: Path) -> int:
        try:
            size = blob.stat().st_size if blob.exists() else 0
            blob.unlink(missing_ok=True)
            table_of(blob).unlink(missing_ok=True)
        except PermissionError as exc:  # Windows: it is loaded
            raise StoreError(
                f"{blob} cannot be removed: {exc.strerror}.",
                next_step="Unload it first: `noibo stop`.",
            ) from exc
        return size

    def _drop_views(self) -> None:
        needed = self.views_needed()
        if needed is None or not self.views.is_dir():
            return
        for view in self.views.iterdir():
            if view.name not in needed:
                views.remove(view)

    def _whole(self, manifest: Manifest) -> StoredModel:
        """The model, if its files are still the ones that were written down."""
        by_role: dict[str, list[Path]] = {}
        for one in manifest.files:
            self._require_unchanged(one, manifest)
            by_role.setdefault(one.role, []).append(self.where(one))
        return StoredModel(
            manifest,
            self._main_path(manifest.files),
            next(iter(by_role.get("projector", [])), None),
            tuple(by_role.get("adapter", [])),
        )

    def _require_unchanged(self, one: ModelFile, manifest: Manifest) -> None:
        path, name = self.where(one), manifest.reference
        if isinstance(one.file, InStore) or any(_blobs(manifest.files)):
            again = f"Fetch it again: `noibo pull {manifest.origin or name}`."
        elif manifest.source.startswith("file "):
            again = f"Add it again: `noibo add {path} --name {name}`, or `noibo rm {name}`."
        else:
            again = f"`noibo import` looks again at what is there; or `noibo rm {name}`."
            if manifest.origin:
                again += f" To fetch one: `noibo rm {name}`, then `noibo pull {manifest.origin}`."
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
            with self.changing():
                views.build(view, linked)
        return view / first.name if first.role == "model" else view

    def _linked(self, files: Sequence[ModelFile]) -> Sequence[tuple[str, Path]]:
        """The files that must lie side by side under their names."""
        return [
            (one.name, self.where(one)) for one in files if one.role in {"model", "part", "file"}
        ]


@dataclass(frozen=True, slots=True)
class Used:
    """Digests that something needs."""

    named: set[str]
    everything: bool = False

    def __contains__(self, sha256: object) -> bool:
        return self.everything or sha256 in self.named


def _named(name: str | Reference) -> Reference:
    return name if isinstance(name, Reference) else reference_of(name)


def _blobs(files: Sequence[ModelFile]) -> Iterator[InStore]:
    return (one.file for one in files if isinstance(one.file, InStore))


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
