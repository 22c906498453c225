"""Which file a download wants, and whose bytes a part of one holds."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
import msgspec

_DIGITS: Final = 18  # more than any file needs; thousands of them would not even be a number
_RANGE: Final = re.compile(
    r"bytes (?:(?P<first>\d{1,18})-(?P<last>\d{1,18})|\*)/(?P<total>\d{1,18}|\*)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file: where it is, how it is named to people, and what is known of it beforehand.

    `reserve` is room that must be left on the disk for what comes after; `git_sha1` the id of the
    file as a git blob.
    """

    url: str = field(repr=False)
    shown: str
    sha256: str | None = None
    reserve: int = 0
    size: int | None = None
    git_sha1: str | None = None

    @property
    def url_sha256(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()

    @property
    def is_promised(self) -> bool:
        """True if a digest will tell whether it is the right file."""
        return self.sha256 is not None or self.git_sha1 is not None


class Claim(msgspec.Struct, frozen=True):
    """Whose bytes a part holds. The URL only as a digest: it may carry a signature."""

    url_sha256: str
    sha256: str | None
    total: int | None
    etag: str | None
    modified: str | None
    git_sha1: str | None = None

    @classmethod
    def of(cls, response: httpx2.Response, wanted: Wanted, total: int | None) -> Claim:
        """The claim that the file of `response` makes."""
        return cls(
            url_sha256=wanted.url_sha256,
            sha256=wanted.sha256,
            total=total,
            etag=response.headers.get("etag"),
            modified=response.headers.get("last-modified"),
            git_sha1=wanted.git_sha1,
        )

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag, else the date."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    def is_of(self, wanted: Wanted) -> bool:
        """True if bytes of this claim may be taken for bytes of `wanted`."""
        if None not in {wanted.size, self.total} and wanted.size != self.total:
            return False
        if wanted.sha256 is not None:
            return self.sha256 == wanted.sha256
        if wanted.git_sha1 is not None:
            return self.git_sha1 == wanted.git_sha1
        return self.url_sha256 == wanted.url_sha256 and self.validator is not None

    def may_continue(self, earlier: Claim) -> bool:
        """False if this is seen to be another file than `earlier` was.

        With a digest promised only the length counts: the machines behind one address may each
        have an ETag of their own, and the digest tells in the end."""
        if None not in {self.total, earlier.total} and self.total != earlier.total:
            return False
        if self.sha256 or self.git_sha1 or self.url_sha256 != earlier.url_sha256:
            return True
        if self.etag and earlier.etag:
            return self.etag == earlier.etag
        if self.modified and earlier.modified:
            return self.modified == earlier.modified
        return True


@dataclass(frozen=True, slots=True)
class ContentRange:
    """What a Content-Range says; None where it says nothing."""

    first: int | None = None
    last: int | None = None
    total: int | None = None


def claim_of(part: Path) -> Path:
    """Where the claim on a part is kept."""
    return part.with_name(part.name + ".json")


def read_claim(part: Path) -> Claim | None:
    """The claim on a part; None if there is none, or none that can be read."""
    try:
        return msgspec.json.decode(claim_of(part).read_bytes(), type=Claim)
    except (OSError, msgspec.MsgspecError):
        return None


def length_of(response: httpx2.Response) -> int | None:
    """What Content-Length says, if it makes sense."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def range_of(response: httpx2.Response) -> ContentRange:
    """What Content-Range says, if it makes sense."""
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None:
        return ContentRange()
    first, last, total = (
        None if text in {None, "*"} else int(text) for text in match.group("first", "last", "total")
    )
    if first is not None and last is not None and (last < first or (total or last + 1) <= last):
        return ContentRange()
    return ContentRange(first, last, total)
