"""Which file a download wants, and whose bytes a part of one holds."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

import httpx2
import msgspec

_RANGE: Final = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+|\*)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file: where it is, how it is named to people, its digest if known.

    `reserve` is room that must be left on the disk for what comes after.
    """

    url: str = field(repr=False)
    shown: str
    sha256: str | None = None
    reserve: int = 0

    @property
    def url_sha256(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()


class Claim(msgspec.Struct, frozen=True):
    """Whose bytes a part holds. The URL only as a digest: it may carry a signature."""

    url_sha256: str
    sha256: str | None
    total: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, response: httpx2.Response, wanted: Wanted, total: int | None) -> Claim:
        """The claim that the file of `response` makes."""
        return cls(
            url_sha256=wanted.url_sha256,
            sha256=wanted.sha256,
            total=total,
            etag=response.headers.get("etag"),
            modified=response.headers.get("last-modified"),
        )

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag, else the date."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    def may_continue(self, earlier: Claim) -> bool:
        """False if this is seen to be another file than `earlier` was."""
        if None not in {self.total, earlier.total} and self.total != earlier.total:
            return False
        if self.url_sha256 != earlier.url_sha256 or not (self.etag and earlier.etag):
            return True  # etags of two places do not compare
        return self.etag == earlier.etag


def length_of(response: httpx2.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdigit() else None


def range_of(response: httpx2.Response) -> tuple[int | None, int | None]:
    """First byte and total of a Content-Range."""
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None:
        return None, None
    first, total = match["first"], match["total"]
    return (int(first) if first else None), (int(total) if total != "*" else None)
