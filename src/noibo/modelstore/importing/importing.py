"""`noibo import`: models of other programs, used where they lie.

Nothing is copied, hashed or changed. A model keeps its program's name; where another model has that
name here, the program's is put behind the tag (`llama3:8b-ollama`), and nothing is overwritten.
Bytes that are in the store already, by their digest, are used from there; bytes that two programs
have are used from the first. Import again, and what changed or went is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from noibo.errors import (
    BadModelFile,
    BadReference,
    LicenceRefused,
    ModelNotFound,
    NoiboError,
    StoreError,
)
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.importing import same_model
from noibo.modelstore.importing.found_model import (
    DAMAGE,
    SUFFIXES,
    FoundFile,
    FoundModel,
    LeftOut,
    Survey,
    is_imported,
    phrase,
    program_of,
)
from noibo.modelstore.importing.same_model import is_whole
from noibo.modelstore.manifest import (
    InPlace,
    InStore,
    Licence,
    Manifest,
    ModelFile,
    Provenance,
)
from noibo.modelstore.progress import Progress, Report
from noibo.modelstore.reference import Reference
from noibo.modelstore.runnable import describe_files
from noibo.modelstore.store import Store

Status = Literal[
    "imported",
    "updated",
    "here already",
    "refused",
    "damaged",
    "incomplete",
    "left out",
    "same file",
    "name taken",
    "no access",
    "gone",
    "changed",
    "removed",
]
IN_USE: Final = frozenset({"imported", "updated", "here already"})


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one model. `size` in bytes."""

    model: str
    size: int
    program: str
    status: Status
    note: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did. `in_place`: bytes of other programs' files that are used, each once."""

    rows: tuple[Row, ...]
    in_place: int

    @property
    def models(self) -> int:
        return len({row.model for row in self.rows if row.status in IN_USE})


def take(
    store: Store, found: Survey, report: Report, *, dry_run: bool = False, prune: bool = False
) -> Taken:
    """Give every model that was found a name in the store, and look after those from before.

    With `dry_run` nothing is written, and the rows say what would be. With `prune`, models that
    were imported and whose files are gone are forgotten. Raises `StoreError` where the store cannot
    be written."""
    taking = _Taking(store, dry_run)
    count = len(found.models)
    report(Progress("find", note=f"{count} found; reading what they say of themselves."))
    for model in found.models:
        taking.try_to_take(model)
    rows = [*taking.rows, *map(_left_out, found.left_out), *_lost(store, taking, dry_run, prune)]
    return Taken(tuple(rows), sum(taking.in_place.values()))


@dataclass(slots=True)
class _Taking:
    """One import under way."""

    store: Store
    dry_run: bool
    rows: list[Row] = field(default_factory=list)
    kept: dict[Reference, Manifest] = field(default_factory=dict)
    in_place: dict[tuple[int, int], int] = field(default_factory=dict)  # by device and number
    _first: dict[str, tuple[InPlace, str]] = field(default_factory=dict)  # by digest

    def try_to_take(self, model: FoundModel) -> None:
        """Take it, or say why not: what is wrong with one model is no reason to leave the others.

        A store that cannot be written is one."""
        try:
            _require_text(model)
            self.take(model)
        except StoreError:
            raise
        except OSError as exc:  # it went while we looked
            self._say(model, str(model.reference), "incomplete", str(exc.strerror))
        except DAMAGE as exc:
            self._say(model, str(model.reference), "damaged", phrase(exc))

    def take(self, model: FoundModel) -> None:
        free = None
        for reference in _names(model):
            try:
                here = self.kept.get(reference) or self.store.register.exact(reference)
            except StoreError:
                continue  # damaged, or a newer noibo's: not ours to overwrite
            if here is None:
                free = free or reference
            elif same_model.is_meant(here, model, self.store):
                self._settle(model, reference, here)
                return
        if free is not None:
            self._settle(model, free, None)
            return
        note = f"another model has that name (`noibo rm {model.reference}` removes it)"
        self._say(model, str(model.reference), "name taken", note)

    def _settle(self, model: FoundModel, reference: Reference, here: Manifest | None) -> None:
        try:
            files, notes = self._files(model, here)
        except OSError as exc:
            self._say(model, str(reference), "incomplete", str(exc.strerror))
            return
        if here is not None and (why := same_model.is_current(here, files, model, self.store)):
            self._remember(reference, here, model)
            self._say(
                model, str(reference), "here already", why if why != same_model.UNCHANGED else ""
            )
            return
        if reference != model.reference:
            notes.append(f"{model.reference} is another model")
        try:
            kept = self._keep(reference, files, model.provenance)
        except LicenceRefused as exc:
            said = exc.message.removeprefix(f"{reference} has the ")
            self._say(model, str(reference), "refused", said.rstrip("."))
        except (BadModelFile, ModelNotFound) as exc:
            self._say(model, str(reference), *_fault(exc, model))
        else:
            self._remember(reference, kept, model)
            notes += model.notes
            self._say(model, str(reference), "updated" if here else "imported", "; ".join(notes))

    def _files(self, model: FoundModel, here: Manifest | None) -> tuple[list[ModelFile], list[str]]:
        """The model's files, each from where its bytes are used already."""
        before = {one.file.sha256: one.file for one in here.files} if here else {}
        alone = not any(one.role in {"part", "file"} for one in model.files)
        files, notes = [], []
        for one in model.files:
            file: InStore | InPlace = InPlace.of(one.path, one.sha256)
            if alone and one.sha256 is not None:
                known = before.get(one.sha256)
                if known is not None and is_whole(self.store, ModelFile(one.role, one.name, known)):
                    file = known
                else:
                    file, said = self._used_once(model, one, file)
                    notes += said
            files.append(ModelFile(one.role, one.name, file))
        return files, notes

    def _used_once(
        self, model: FoundModel, one: FoundFile, own: InStore | InPlace
    ) -> tuple[InStore | InPlace, list[str]]:
        """The store's copy of these bytes, else the one that another program has: whose word on
        what its file holds counts as far as this program's does."""
        sha256 = str(one.sha256)
        ours = InStore(sha256, one.size)
        if is_whole(self.store, ModelFile(one.role, one.name, ours)):
            return ours, ["its bytes are in the store already, and are used from there"]
        first, name = self._first.get(sha256, (None, ""))
        if first is not None and first.size == one.size:
            return first, [f"the same bytes as {name}, used once"]
        return own, []

    def _keep(self, reference: Reference, files: list[ModelFile], said: Provenance) -> Manifest:
        if not self.dry_run:
            return self.store.keep(reference, files, said).manifest
        facts, licence = describe_files([(o.role, o.name, self.store.where(o)) for o in files])
        found = Licence(
            said.licence.name or licence.name, said.licence.text, said.licence.link or licence.link
        )
        self.store.require_allowed(found, str(reference))
        return Manifest(
            str(reference), tuple(files), said.source, said.origin, found, 0.0, facts, said.defaults
        )

    def _remember(self, reference: Reference, manifest: Manifest, model: FoundModel) -> None:
        self.kept[reference] = manifest
        for one in manifest.files:
            if isinstance(one.file, InPlace):
                status = Path(one.file.path).stat()
                self.in_place[status.st_dev, status.st_ino] = one.file.size
                if one.file.sha256 and not model.place.named:
                    self._first.setdefault(one.file.sha256, (one.file, str(reference)))

    def _say(self, model: FoundModel, name: str, status: Status, note: str) -> None:
        self.rows.append(Row(name, model.size, model.place.program, status, note))


def _require_text(model: FoundModel) -> None:
    """Raise `BadModelFile` for what no manifest could hold: paths and texts come from others."""
    try:
        paths = [str(one.path) for one in model.files]
        msgspec.json.decode(msgspec.json.encode((paths, model.provenance)))
    except (ValueError, RecursionError):
        raise BadModelFile("Its path, or what it says of itself, is no text.") from None


def _names(model: FoundModel) -> Iterator[Reference]:
    """Its own name, then that with the program's behind the tag."""
    own = model.reference
    yield own
    try:
        suffix = SUFFIXES[model.place.program]
        yield Reference(own.name, f"{own.tag}-{suffix}", own.namespace, own.host)
    except BadReference:  # too long
        return


def _fault(exc: NoiboError, model: FoundModel) -> tuple[Status, str]:
    """A good file of another kind is no damage."""
    if isinstance(exc, ModelNotFound):
        return "incomplete", "its file went while it was looked at"
    try:
        kind = inspect_model(model.files[0].path).kind if model.files[0].role == "model" else ""
    except NoiboError:
        kind = ""
    if kind not in {"", "model"}:
        return "left out", f"of kind {kind}, not a model that can answer"
    said = exc.message
    for one in model.files:
        said = said.replace(f"{one.path} is not a good model file: ", "").replace(
            f"{one.path}", one.name
        )
    return "damaged", said.rstrip(".")


def _left_out(one: LeftOut) -> Row:
    return Row(one.name, one.size, one.place.program, one.status, one.why)


def _lost(store: Store, taking: _Taking, dry_run: bool, prune: bool) -> Iterator[Row]:
    """Models imported before whose files went or changed, and that were not found again."""
    for path, reference in list(store.register):
        try:
            manifest = Manifest.read(path, reference)
        except (FileNotFoundError, StoreError):
            continue
        if reference in taking.kept or not is_imported(manifest.source):
            continue
        size, program = manifest.size, program_of(manifest.source)
        if any(_is_gone(one) for one in manifest.files):
            if prune and not dry_run:
                store.remove(reference)
            note = "its file is gone" + ("" if prune else f": `noibo rm {reference}` or --prune")
            yield Row(str(reference), size, program, "removed" if prune else "gone", note)
        elif not all(is_whole(store, one) for one in manifest.files):
            yield Row(str(reference), size, program, "changed", "its file is no longer the same")


def _is_gone(one: ModelFile) -> bool:
    """A folder that is closed to us is no proof."""
    if isinstance(one.file, InStore):
        return False
    try:
        Path(one.file.path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
