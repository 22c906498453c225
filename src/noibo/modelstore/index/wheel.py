"""Reads a wheel, which is a zip, without installing anything or running a line of it."""

from __future__ import annotations

import base64
import csv
import email
import email.message
import errno
import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol, Self

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore.disk import write_all
from noibo.modelstore.progress import Cancel, Progress, Report

CHUNK: Final = 1024 * 1024
MAX_MEMBERS: Final = 100_000
MAX_TEXT: Final = 2 * 2**20

_OURS: Final = "Try another index; if it stays so, the package itself is at fault."
_BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a wheel; `sha256` as the wheel's own RECORD has it, if it does."""

    name: str
    size: int
    sha256: str | None

    @property
    def plain_name(self) -> str:
        """Without folders."""
        return PurePosixPath(self.name).name


class Digest(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes, /) -> None: ...


class Wheel:
    """An open wheel, or one that is read where it is. What is wrong with it is a `FetchError`."""

    def __init__(self, source: Path | BinaryIO, name: str = "") -> None:
        self._name = name or (source.name if isinstance(source, Path) else "")
        with self._faults_named():
            self._archive = zipfile.ZipFile(source)
            infos = self._archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise FetchError(f"{self._name} holds too many files.")
            self._infos = {info.filename: info for info in infos if not info.is_dir()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def members(self) -> list[Member]:
        """Its files, in the order they lie there."""
        record = dict(self._record())
        return [
            Member(name, info.file_size, record.get(name)) for name, info in self._infos.items()
        ]

    def metadata(self) -> email.message.Message:
        """The package's METADATA, empty where there is none."""
        name = next((n for n in self._infos if n.endswith(".dist-info/METADATA")), None)
        return email.message_from_string(self.text(name) if name else "")

    def text(self, name: str) -> str:
        """A small text file."""
        with self._faults_named():
            if self._info(name).file_size > MAX_TEXT:
                raise FetchError(f"{name} in {self._name} is too large to read.")
            return self._archive.read(name).decode("utf-8", "replace")

    def copy(
        self, member: Member, target: BinaryIO, whole: Digest, report: Report, cancel: Cancel
    ) -> None:
        """Write a member's bytes to `target`, and add them to the digest of the `whole`.

        Raises `DigestMismatch` unless they are of the size and digest that the wheel says."""
        _require_plain(member.name)
        digest, done = hashlib.sha256(), 0
        with self._faults_named():
            info = self._info(member.name)
            if info.file_size != member.size:
                raise _wrong_size(member, info.file_size)
            with self._archive.open(info) as source:
                while chunk := source.read(CHUNK):
                    cancel.check()
                    done += len(chunk)
                    if done > member.size:  # the header lied
                        raise _wrong_size(member, done)
                    write_all(target, chunk)
                    digest.update(chunk)
                    whole.update(chunk)
                    report(Progress("unpack", done, member.size))
        if done != member.size:
            raise _wrong_size(member, done)
        if member.sha256 not in {None, digest.hexdigest()}:
            raise DigestMismatch(
                f"{member.name} is not the file that was promised: SHA-256 {digest.hexdigest()} "
                f"instead of {member.sha256}. It was thrown away.",
                next_step=_OURS,
            )

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._infos:
            raise FetchError(f"{self._name} does not hold {name}.")
        return self._infos[name]

    def _record(self) -> Iterator[tuple[str, str]]:
        name = next((n for n in self._infos if n.endswith(".dist-info/RECORD")), None)
        for row in csv.reader(self.text(name).splitlines()) if name else ():
            if len(row) == 3 and (found := re.fullmatch(r"sha256=([\w-]{43})=?", row[1])):
                yield row[0], base64.urlsafe_b64decode(f"{found[1]}=").hex()

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        try:
            yield
        except (*_BROKEN, OSError) as exc:
            if isinstance(exc, OSError) and exc.errno not in {None, errno.EINVAL}:
                raise  # the disk; what is left is a place before the beginning
            raise FetchError(
                f"{self._name} is not a readable wheel: {exc}.", next_step=_OURS
            ) from exc


def _require_plain(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name:
        raise FetchError(f"{name!r} is not a name that a file in a wheel may have.")


def _wrong_size(member: Member, found: int) -> DigestMismatch:
    return DigestMismatch(
        f"{member.name} is not the file that was promised: {found} bytes instead of {member.size}.",
        next_step=_OURS,
    )
