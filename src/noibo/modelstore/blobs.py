"""Brings the files of an offer among the blobs: each once, none without need, none unchecked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore import disk
from noibo.modelstore.catalog import KnownFile
from noibo.modelstore.disk import faults_named, turn
from noibo.modelstore.manifest import InPlace, InStore, ModelFile
from noibo.modelstore.offer import Offer, OfferedFile
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.store import Store
from noibo.modelstore.wants import Wants

_TAKE_IT: Final = "To take the new one: `noibo rm` the model, then `noibo pull` it."


@dataclass(frozen=True, slots=True)
class Bringing:
    """One pull's work on the files of one offer. `only`: the digests it may have, if just these
    will do."""

    store: Store
    wants: Wants
    report: Report
    cancel: Cancel
    only: frozenset[str] | None = None

    def all(self, offer: Offer, pinned: KnownFile | None = None) -> tuple[ModelFile, ...]:
        """Every file of the offer, here. `pinned`: what the first must be, whatever is offered."""
        with faults_named(self.store.partial):
            self.store.partial.mkdir(parents=True, exist_ok=True)
        self._refuse_others(offer)
        sizes = [one.size or 0 for one in offer.files]
        brought = []
        for number, offered in enumerate(offer.files, 1):
            expected = pinned if number == 1 else None
            if expected is not None and offered.sha256 not in {None, expected.sha256}:
                raise _other_file(offered, expected)
            reserve = sum(sizes[number:])  # what comes after must fit too
            file = self._bring(offered, expected, reserve, self._numbered(number, offer))
            brought.append(file)
        return tuple(brought)

    def _refuse_others(self, offer: Offer) -> None:
        promised = {one.sha256 for one in offer.files} - {None}
        if self.only is not None and not promised <= self.only:
            raise FetchError(
                f"{offer.source} has another file now than the one that is here.",
                next_step=_TAKE_IT,
            )

    def known(self, file: KnownFile) -> InStore | None:
        """The file, if it is among the blobs whole, under another name or none."""
        blob = self.store.blob(file.sha256)
        if not blob.exists():
            return None
        with turn(self.store.lock_file(blob.name), self.report):
            self._want(file.sha256)
            if blob.exists() and self._is(blob, file.sha256, file.size):
                return InStore(file.sha256, file.size)
        return None

    def _want(self, sha256: str) -> None:
        with self.store.changing():
            self.wants.add(sha256)

    def _is(self, path: Path, sha256: str, size: int) -> bool:
        """True if the file holds just the bytes of that digest."""
        if path.stat().st_size != size:
            return False

        def tell(done: int) -> None:
            self.cancel.check()
            self.report(Progress("check", done, size))

        return disk.sha256(path, tell).hexdigest() == sha256

    def _bring(
        self, offered: OfferedFile, expected: KnownFile | None, reserve: int, report: Report
    ) -> ModelFile:
        sha256 = expected.sha256 if expected else offered.sha256
        if sha256 is None:
            file = self._fetch(offered, None, reserve, report)
            return ModelFile(offered.role, offered.name, file)
        self._want(sha256)
        report = _with_digest(sha256, report)
        with turn(self.store.lock_file(f"sha256-{sha256}"), report):
            blob = self.store.blob(sha256)
            if blob.exists() and self._is(blob, sha256, blob.stat().st_size):
                return ModelFile(offered.role, offered.name, InStore(sha256, blob.stat().st_size))
            if (copy := self._copy_in_place(sha256, report)) is not None:
                return ModelFile(offered.role, offered.name, copy)
            self.store.set_aside(sha256)
            return ModelFile(
                offered.role, offered.name, self._fetch(offered, expected, reserve, report)
            )

    def _copy_in_place(self, sha256: str, report: Report) -> InPlace | None:
        """A file of another program's that is the same: its name says so, and so do its bytes."""
        copy = self.store.copy_in_place(sha256)
        if copy is None or not self._is(Path(copy.path), sha256, copy.size):
            return None
        note = f"{copy.path} is the same file, and is used where it lies."
        report(Progress("check", copy.size, copy.size, note))
        return copy

    def _fetch(
        self, offered: OfferedFile, expected: KnownFile | None, reserve: int, report: Report
    ) -> InStore:
        fetched = offered.fetch(self.store.partial, reserve, report, self.cancel)
        if expected is not None and fetched.sha256 != expected.sha256:
            fetched.path.unlink(missing_ok=True)
            raise _other_file(offered, expected)
        if self.only is not None and fetched.sha256 not in self.only:
            fetched.path.unlink(missing_ok=True)
            raise DigestMismatch(
                f"{offered.name} is another file now than the one that is here.",
                next_step=_TAKE_IT,
            )
        return self.store.take(fetched, self.wants)

    def _numbered(self, number: int, offer: Offer) -> Report:
        count, name = len(offer.files), offer.files[number - 1].name

        def tell(progress: Progress) -> None:
            self.report(replace(progress, file=name, number=number, count=count))

        return tell if count > 1 else self.report


def _with_digest(sha256: str, report: Report) -> Report:
    def tell(progress: Progress) -> None:
        report(replace(progress, sha256=sha256))

    return tell


def _other_file(offered: OfferedFile, expected: KnownFile) -> DigestMismatch:
    return DigestMismatch(
        f"{offered.name} is not the file that was promised: its SHA-256 is not "
        f"{expected.sha256}. It was thrown away.",
        next_step="The place has another file now; the catalogue of a newer noibo may know it.",
    )
