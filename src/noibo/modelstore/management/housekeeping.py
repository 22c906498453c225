"""`noibo store check | gc | du`: are the bytes what they should be, what is left over, what is
where."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from noibo.errors import NoiboError, StoreError
from noibo.modelstore import disk, views
from noibo.modelstore.disk import is_free
from noibo.modelstore.manifest import InPlace, InStore, Manifest
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.store import Store

_FINISHED: Final = re.compile(r"\.[0-9a-f]{16}(\.pieces)?$")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be, the models it touches, what to do about it."""

    path: str
    what: str
    models: tuple[str, ...]
    next_step: str
    sha256: str | None = None  # of a blob that can be mended


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check looked at, and what it found."""

    files: int
    bytes: int
    unverified: tuple[str, ...]  # in place, with no digest to compare with
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something nothing needs."""

    path: Path
    kind: str  # blob, view, partial, temporary
    size: int


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One model's bytes: its own, shared with other models, and in files that are not ours."""

    model: str
    own: int
    shared: int
    in_place: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Where the store's bytes are."""

    models: tuple[ModelUse, ...]
    blobs: int
    in_place: int
    leftovers: tuple[Leftover, ...]
    free: int


def check(store: Store, report: Report, cancel: Cancel) -> Checked:
    """Read every file of every model, and compare. Nothing is changed."""
    faults: list[Fault] = []
    users: dict[str, list[str]] = {}
    in_place: dict[str, tuple[InPlace, list[str]]] = {}
    for path, reference in store.register:
        try:
            manifest = Manifest.read(path, reference)
        except FileNotFoundError:
            continue
        except StoreError as exc:
            faults.append(Fault(str(path), exc.message, (str(reference),), exc.next_step))
            continue
        for one in manifest.files:
            if isinstance(one.file, InStore):
                users.setdefault(one.file.sha256, []).append(str(manifest.reference))
            else:
                in_place.setdefault(one.file.path, (one.file, []))[1].append(str(reference))
    reader = _Reader(report, cancel, _total(store, users, in_place))
    faults.extend(_blob_faults(store, users, reader))
    unverified = []
    for place, (file, models) in in_place.items():
        fault = _place_fault(Path(place), file, models, reader)
        if fault is not None:
            faults.append(fault)
        elif file.sha256 is None:
            unverified.append(place)
    return Checked(len(users) + len(in_place), reader.done, tuple(unverified), tuple(faults))


class _Reader:
    """Reads whole files, and says how far it is in all of them together."""

    def __init__(self, report: Report, cancel: Cancel, total: int) -> None:
        self.done = 0
        self._report = report
        self._cancel = cancel
        self._total = total

    def digest(self, path: Path) -> str:
        before = self.done

        def tell(done: int) -> None:
            self._cancel.check()
            self.done = before + done
            self._report(Progress("check", self.done, self._total, file=path.name))

        return disk.sha256(path, tell).hexdigest()


def _total(
    store: Store, users: dict[str, list[str]], in_place: dict[str, tuple[InPlace, list[str]]]
) -> int:
    blobs = (store.blob(sha256) for sha256 in users)
    known = (file.size for file, _ in in_place.values() if file.sha256 is not None)
    return sum(blob.stat().st_size for blob in blobs if blob.exists()) + sum(known)


def _blob_faults(store: Store, users: dict[str, list[str]], reader: _Reader) -> Iterator[Fault]:
    for sha256, models in sorted(users.items()):
        blob, again = store.blob(sha256), f"Mend it: `noibo pull {models[0]}`."
        try:
            if reader.digest(blob) != sha256:
                mend = "Mend it, by fetching only the bad part: `noibo store check --repair`."
                yield Fault(str(blob), "its bytes have changed", tuple(models), mend, sha256)
        except FileNotFoundError:
            yield Fault(str(blob), "it is gone", tuple(models), again, sha256)
        except OSError as exc:
            yield Fault(
                str(blob), f"it cannot be read: {exc.strerror}", tuple(models), again, sha256
            )


def _place_fault(path: Path, file: InPlace, models: Sequence[str], reader: _Reader) -> Fault | None:
    again = f"Look again at what is there: `noibo import`; or forget it: `noibo rm {models[0]}`."
    try:
        stat = path.stat()
        changed = (stat.st_size, stat.st_mtime_ns) != (file.size, file.mtime_ns)
        if not changed and file.sha256 is not None:
            changed = reader.digest(path) != file.sha256
    except FileNotFoundError:
        return Fault(str(path), "it is gone", tuple(models), again)
    except OSError as exc:
        return Fault(str(path), f"it cannot be read: {exc.strerror}", tuple(models), again)
    return Fault(str(path), "it has changed", tuple(models), again) if changed else None


def leftovers(store: Store, *, partial: bool) -> list[Leftover]:
    """What nothing needs; with `partial` also downloads that were begun and not finished.

    What somebody is at work on is not left over, whatever it is."""
    if not store.folder.is_dir():
        return []
    used, held = store.used(), _held(store)
    found = [_leftover(path, "temporary") for path in _temporaries(store)]
    cut_off = _cut_off(store, held) if partial else set()
    for path in _files(store.blobs):
        sha256 = path.name.removeprefix("sha256-").removesuffix(".pieces")
        if not path.name.startswith("sha256-") or path.suffix == ".tmp":
            found.append(_leftover(path, "temporary"))
        elif used.everything:
            continue  # a manifest cannot be read: nobody knows what it needs
        elif sha256 not in used or sha256 in cut_off:
            found.append(_leftover(path, "partial" if sha256 in cut_off else "blob"))
    if partial:
        found += [
            _leftover(path, "partial")
            for path in _files(store.partial)
            if path.suffix != ".lock"
            and not path.name.startswith(tuple(held))
            and not _is_just_finished(path)
        ]
    needed = store.views_needed()
    if needed is not None and store.views.is_dir():
        found += [
            Leftover(path, "view", views.size(path))
            for path in store.views.iterdir()
            if path.name not in needed
        ]
    return found


def collect(store: Store, *, partial: bool) -> list[Leftover]:
    """Remove what is left over; returns what was removed."""
    if not store.folder.is_dir():
        return []
    gone = []
    with store.changing():
        found = leftovers(store, partial=partial)
        for one in sorted(found, key=lambda one: one.path.suffix != ".wants"):
            # Notes of pulls that were cut off first: what they name is nobody's then.
            try:
                if one.kind == "view":
                    views.remove(one.path)
                elif one.path.parent == store.blobs and one.kind != "temporary":
                    if not _free(store, one):
                        continue
                else:
                    with _alone_with(one.path):
                        one.path.unlink(missing_ok=True)
                gone.append(one)
            except (OSError, NoiboError, Timeout):
                continue  # in use: the next time
    return gone


def _free(store: Store, one: Leftover) -> bool:
    """Remove a blob or a table of one, if really nothing uses it."""
    if one.path.suffix == ".pieces":
        if one.path.with_suffix("").exists():
            return False  # it goes with its blob
        one.path.unlink(missing_ok=True)
        return True
    store.free(InStore(one.path.name.removeprefix("sha256-"), one.size))
    return not one.path.exists()


@contextlib.contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Nobody else is at work on that file meanwhile; `Timeout` if somebody is."""
    part, mark, _ = path.name.partition(".part")
    with contextlib.ExitStack() as held:
        if mark:
            held.enter_context(FileLock(path.with_name(f"{part}{mark}.lock"), timeout=0))
        yield


def _held(store: Store) -> set[str]:
    """Beginnings of the names in `partial` that somebody is at work on."""
    locks = [path for path in _files(store.partial) if path.suffix == ".lock"]
    held = {path.stem for path in locks if path.name != "store.lock" and not is_free(path)}
    wanted = (wants.digests for wants in store.wants() if wants.path.stem in held)
    return held | {f"sha256-{digest}" for digests in wanted for digest in digests}


def _is_just_finished(path: Path) -> bool:
    """True for a file without a promised digest in the moment before a pull takes it up."""
    return bool(_FINISHED.search(path.name)) and path.stat().st_mtime > time.time() - 3600


def _cut_off(store: Store, held: set[str]) -> set[str]:
    """Digests that only pulls want that nobody is at work on."""
    manifests, _ = store.register.readable()
    named = {digest for manifest in manifests for digest in manifest.blobs}
    wanted: dict[bool, set[str]] = {True: set(), False: set()}
    for wants in store.wants():
        wanted[wants.path.stem in held] |= wants.digests
    return wanted[False] - wanted[True] - named


def _temporaries(store: Store) -> list[Path]:
    """What writes that were killed an hour ago or longer left behind."""
    old = time.time() - 3600
    found = store.register.temporaries()
    found += [path for path in _files(store.partial) if path.name.startswith(".")]
    return [path for path in found if path.stat().st_mtime < old]


def usage(store: Store) -> Usage:
    """Every model's bytes, and the leftovers."""
    manifests, _ = store.register.readable()
    users: dict[str, int] = {}
    for manifest in manifests:
        for sha256 in set(manifest.blobs):
            users[sha256] = users.get(sha256, 0) + 1
    rows = []
    for manifest in manifests:
        ours = {
            one.file.sha256: one.file.size
            for one in manifest.files
            if isinstance(one.file, InStore)
        }
        theirs = sum(one.file.size for one in manifest.files if isinstance(one.file, InPlace))
        own = sum(size for sha256, size in ours.items() if users[sha256] == 1)
        rows.append(ModelUse(str(manifest.reference), own, sum(ours.values()) - own, theirs))
    there = store.folder if store.folder.is_dir() else _existing(store.folder)
    return Usage(
        models=tuple(rows),
        blobs=sum(path.stat().st_size for path in _files(store.blobs)),
        in_place=sum(row.in_place for row in rows),
        leftovers=tuple(leftovers(store, partial=True)),
        free=shutil.disk_usage(there).free,
    )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        Path(one.path) for one in os.scandir(folder) if one.is_file(follow_symlinks=False)
    )


def _leftover(path: Path, kind: str) -> Leftover:
    stat = path.stat()  # a part may have holes: what it takes on disk counts
    blocks = getattr(stat, "st_blocks", None)
    return Leftover(path, kind, stat.st_size if blocks is None else min(stat.st_size, 512 * blocks))


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder
