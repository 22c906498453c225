"""Asks for a stretch of a file, and judges the answer before a byte of it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx2

from noibo.errors import AccessNeeded, DigestMismatch, FetchError, NotOffered
from noibo.modelstore.download.claim import Claim, Wanted, length_of, range_of
from noibo.modelstore.download.faults import (
    AskAnew,
    FileChanged,
    FromTheStart,
    PassingFault,
    retry_after,
)
from noibo.modelstore.web.faults import PASSING_FAULTS, status_fault

_BUSY: Final = 429
_ANOTHER_FILE: Final = "the server has another file now"


class Opener(Protocol):
    """Opens a URL with extra headers, redirects followed; the body is still to be read.

    Used by several threads at once. Faults of the way stay `httpx2.TransportError`."""

    def __call__(
        self, url: str, headers: Mapping[str, str], /
    ) -> AbstractContextManager[httpx2.Response]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that may be believed to hold the file from byte `first` on.

    `is_whole` when the server ignored what was asked and sends everything; `is_empty` when there
    is nothing to come."""

    response: httpx2.Response
    first: int
    claim: Claim
    is_whole: bool = False
    is_empty: bool = False

    @property
    def ends_by_itself(self) -> bool:
        """True if reading on behind the last byte finds the end, and frees the connection."""
        return self.is_whole or length_of(self.response) is not None


class Asking:
    """One file of one server: how it must be asked, and whose bytes came so far.

    `known` is the claim that answers must go with; the first one makes it. `plainly` asks for the
    whole file, without a range."""

    def __init__(
        self, wanted: Wanted, open_url: Opener, known: Claim | None = None, plainly: bool = False
    ) -> None:
        self.wanted = wanted
        self.known = known
        self.plainly = plainly
        self._open = open_url
        self._asks_if_range = True

    @contextmanager
    def ask(self, first: int, end: int | None) -> Iterator[Answer]:
        """The bytes from `first` to before `end`, or to the end of the file.

        Raises `PassingFault`, `AskAnew`, `FileChanged`, `FromTheStart`, or an error for people."""
        headers = self._headers(first, end)
        with self._open(self.wanted.url, headers) as response:
            yield self._judge(response, first, "If-Range" in headers)

    def _headers(self, first: int, end: int | None) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self.plainly:
            return headers
        total = self.known.total if self.known else None
        last = "" if end is None or end == total else end - 1
        headers["Range"] = f"bytes={first}-{last}"
        known = self.known
        if known and known.validator and self._asks_if_range and not self.wanted.is_promised:
            headers["If-Range"] = known.validator
        return headers

    def _judge(self, response: httpx2.Response, first: int, has_if_range: bool) -> Answer:
        status = response.status_code
        if status == 416:
            return self._judge_end(response, first)
        self._refuse_status(response)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchError(f"{self.wanted.shown} was repacked on the way, and cannot be used.")
        if status == 206:
            return self._judge_part(response, first)
        self._refuse_other_content(response, length_of(response))
        fresh = Claim.of(response, self.wanted, length_of(response))
        self._require_size(fresh)
        if self.known is not None and not self.plainly:
            if not fresh.may_continue(self.known):
                raise FileChanged(_ANOTHER_FILE)
            if has_if_range:
                self._asks_if_range = False
                raise AskAnew
            raise FromTheStart("the server sent the file from its beginning")
        return Answer(response, 0, fresh, is_whole=True)

    def _judge_part(self, response: httpx2.Response, first: int) -> Answer:
        said = range_of(response)
        if self.plainly:
            raise PassingFault("it answered with a part when asked for the whole file")
        if said.first != first or (said.total is None and self.known is None):
            if self.known is None:
                raise FromTheStart("the server's ranges are not what was asked")
            raise PassingFault("it answered with another part than was asked for")
        self._refuse_other_content(response, said.total)
        fresh = Claim.of(response, self.wanted, said.total)
        self._require_size(fresh)
        if self.known is not None and not fresh.may_continue(self.known):
            raise FileChanged(_ANOTHER_FILE)
        return Answer(response, first, fresh)

    def _judge_end(self, response: httpx2.Response, first: int) -> Answer:
        """416: the server has nothing at `first`."""
        total = range_of(response).total
        if self.known is None:
            if first == 0 and total == 0:
                fresh = Claim.of(response, self.wanted, 0)
                self._require_size(fresh)
                return Answer(response, 0, fresh, is_empty=True)
            if self.plainly:
                raise PassingFault("it answered 416")
            raise FromTheStart("the server gives no part of it")
        if total is not None and self.known.total in {None, total} and first == total:
            return Answer(response, first, self.known, is_empty=True)
        if total is not None and total not in {self.known.total, None}:
            raise FileChanged(_ANOTHER_FILE)
        raise PassingFault("it answered 416")

    def _refuse_status(self, response: httpx2.Response) -> None:
        status, fault = response.status_code, status_fault(self.wanted.url, response.status_code)
        if status in PASSING_FAULTS or status >= 500:
            wait = retry_after(response)
            raise PassingFault(f"the server answered {status}", wait, status == _BUSY)
        if status in {401, 403}:
            raise AccessNeeded(
                f"{fault}.",
                next_step="Sign in there or set its token, and accept the licence if it asks.",
            )
        if status in {404, 410}:
            raise NotOffered(f"{fault}.", next_step="Check the address.")
        if status not in {200, 206}:
            raise FetchError(f"{fault}.", next_step="Check the address.")

    def _refuse_other_content(self, response: httpx2.Response, total: int | None) -> None:
        """A sign-in page or an error in JSON, sent as if it were the file."""
        kind = response.headers.get("content-type", "").lower().partition(";")[0].strip()
        if kind == "text/html":
            raise FetchError(
                f"{self.wanted.shown} answered with a web page instead of the file.",
                next_step="A proxy or a sign-in page may stand in between: open the address in a "
                "browser.",
            )
        is_json = kind == "application/json" or kind.endswith("+json")
        if is_json and not self._may_be_json(total):
            raise FetchError(
                f"{self.wanted.shown} answered with a message in JSON instead of the file.",
                next_step="Open the address in a browser to read it.",
            )

    def _may_be_json(self, total: int | None) -> bool:
        names = urlsplit(self.wanted.url).path, self.wanted.shown
        if any(name.lower().endswith((".json", ".jsonl", ".jinja", ".txt")) for name in names):
            return True
        return self.wanted.size is not None and self.wanted.size == total

    def _require_size(self, fresh: Claim) -> None:
        size, total = self.wanted.size, fresh.total
        if None not in {size, total} and size != total:
            raise DigestMismatch(
                f"{self.wanted.shown} is not the file that was promised: {total} bytes instead of "
                f"{size}. Nothing of it was kept.",
                next_step="Try again; if it stays so, the source or a proxy changes files.",
            )
