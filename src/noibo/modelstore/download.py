"""Brings one file here, whatever happens on the way.

Bytes go to `NAME.part`; beside it `NAME.part.json` says whose bytes they are. After a cut, a crash
or Ctrl-C the next try continues at the byte where the file ends. It starts over, and says so, when
the server cannot continue or has another file now. Only when the digest is right does the file get
its name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import httpx2
import msgspec

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore.claim import Claim, Wanted, length_of, range_of
from noibo.modelstore.disk import (
    faults_named,
    require_space,
    settle,
    write_all,
    write_atomically,
)
from noibo.modelstore.faults import PASSING_FAULTS, is_lasting, network_fault, status_fault
from noibo.modelstore.progress import Progress, Report, size_text

CHUNK: Final = 256 * 1024
LONGEST_PAUSE_S: Final = 30.0


class Opener(Protocol):
    """Opens a URL with extra headers, redirects followed; the body is still to be read."""

    def __call__(
        self, url: str, headers: Mapping[str, str], /
    ) -> AbstractContextManager[httpx2.Response]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How many faults in a row, without a new byte, are borne; pauses double from the first."""

    retries: int = 5
    first_pause_s: float = 0.25

    def pause(self, fault: int) -> float:
        return min(LONGEST_PAUSE_S, self.first_pause_s * 2.0 ** (fault - 1))


class _TryAgain(Exception):
    """The attempt ended, and another may do better."""


class Download:
    """The life of one `.part` file."""

    def __init__(
        self, wanted: Wanted, target: Path, open_url: Opener, report: Report, patience: Patience
    ) -> None:
        self._wanted = wanted
        self._target = target
        self._open = open_url
        self._report = report
        self._patience = patience
        self._part = target.with_name(target.name + ".part")
        self._claim_file = target.with_name(target.name + ".part.json")
        self._claim: Claim | None = None
        self._hash = hashlib.sha256()
        self._have = 0
        self._continued = False

    def run(self) -> None:
        """Fetch until the target is there; raises `FetchError`, `DigestMismatch`, `DiskFull`."""
        if self._target.exists() and self._is_right(self._target):
            return
        with faults_named(self._target.parent, self._wanted.reserve):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._recover()
            self._fetch()
            if not self._has_right_digest() and self._continued:
                self._start_over("what was here before did not fit")
                self._fetch()
            self._settle()

    def _recover(self) -> None:
        """Take up what an earlier run left, if it is part of this same file."""
        try:
            claim = msgspec.json.decode(self._claim_file.read_bytes(), type=Claim)
        except (OSError, msgspec.MsgspecError):
            claim = None
        if claim is None or not self._part.exists() or not self._is_ours(claim):
            self._part.unlink(missing_ok=True)
            self._claim_file.unlink(missing_ok=True)
            return
        self._claim = claim
        total = self._part.stat().st_size
        with self._part.open("rb") as file:
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)
                self._have += len(chunk)
                self._report(Progress("check", self._have, total))
        self._continued = self._have > 0
        if self._continued:
            note = f"Continuing at {size_text(self._have)}."
            self._report(Progress("download", self._have, claim.total, note))

    def _is_ours(self, claim: Claim) -> bool:
        if self._wanted.sha256 is not None:
            return claim.sha256 == self._wanted.sha256
        return claim.url_sha256 == self._wanted.url_sha256 and claim.validator is not None

    def _fetch(self) -> None:
        """Try until the last byte is here. Faults count as long as no new byte comes."""
        faults, furthest = 0, self._have
        while not self._is_whole():
            try:
                self._attempt()
                continue
            except _TryAgain as exc:
                fault = str(exc)
            except httpx2.TransportError as exc:
                fault = network_fault(exc)
                if is_lasting(exc):
                    raise self._failed(fault) from exc
            faults = 1 if self._have > furthest else faults + 1
            furthest = max(furthest, self._have)
            if faults > self._patience.retries:
                raise self._failed(fault)
            pause = self._patience.pause(faults)
            note = f"{fault[:1].upper()}{fault[1:]}; trying again."
            self._report(Progress("download", self._have, self._total, note))
            time.sleep(pause)

    @property
    def _total(self) -> int | None:
        return self._claim.total if self._claim else None

    def _is_whole(self) -> bool:
        return self._total is not None and self._have == self._total

    def _attempt(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._have and self._claim:
            headers["Range"] = f"bytes={self._have}-"
            if self._claim.validator and self._claim.url_sha256 == self._wanted.url_sha256:
                headers["If-Range"] = self._claim.validator
        with self._open(self._wanted.url, headers) as response:
            self._judge(response)
            self._take(response)

    def _judge(self, response: httpx2.Response) -> None:
        """Leave the part such that the body of `response` continues it, or raise."""
        status = response.status_code
        if status == 416:
            self._judge_end(response)
            return
        if status in PASSING_FAULTS:
            raise _TryAgain(f"the server answered {status}")
        if status not in {200, 206}:
            raise FetchError(
                f"{status_fault(self._wanted.url, status)}.",
                next_step="Check the address and the credentials pip is set to.",
            )
        self._refuse_other_content(response)
        if status == 206:
            self._judge_continuation(response)
        else:
            if self._have:
                self._start_over("the server sent the file from its beginning")
            self._claim = Claim.of(response, self._wanted, length_of(response))
            self._save_claim()
        if self._total is not None:
            require_space(self._part.parent, self._total - self._have + self._wanted.reserve)

    def _judge_end(self, response: httpx2.Response) -> None:
        _, total = range_of(response)
        if total is not None and total == self._have and self._claim:
            self._claim = msgspec.structs.replace(self._claim, total=total)
            return
        self._start_over("the server has another file now")
        raise _TryAgain("the server has another file now")

    def _judge_continuation(self, response: httpx2.Response) -> None:
        first, total = range_of(response)
        fresh = Claim.of(response, self._wanted, total)
        known = self._claim
        if known is None or first != self._have or not fresh.may_continue(known):
            self._start_over("the server has another file now")
            raise _TryAgain("the server has another file now")
        if fresh != known:
            self._claim = fresh
            self._save_claim()

    def _refuse_other_content(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "")
        if kind.lower().startswith("text/html"):
            raise FetchError(
                f"{self._wanted.shown} answered with a web page instead of the file.",
                next_step="A proxy or a sign-in page may stand in between: open the address in a "
                "browser, or check pip's proxy (`python -m pip config debug`).",
            )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchError(f"{self._wanted.shown} was repacked on the way, and cannot be used.")

    def _save_claim(self) -> None:
        self._part.touch()
        write_atomically(self._claim_file, msgspec.json.encode(self._claim))

    def _take(self, response: httpx2.Response) -> None:
        if response.status_code == 416:
            return
        with self._part.open("ab", buffering=0) as file:
            for chunk in response.iter_raw():  # as it comes: what is held back is lost at a cut
                if self._total is not None and self._have + len(chunk) > self._total:
                    raise FetchError(f"{self._wanted.shown} sends more bytes than it said.")
                write_all(file, chunk)
                self._hash.update(chunk)
                self._have += len(chunk)
                self._report(Progress("download", self._have, self._total))
        if self._claim and self._total is None:  # the end of the answer was the end of the file
            self._claim = msgspec.structs.replace(self._claim, total=self._have)
        if not self._is_whole():
            raise _TryAgain("the connection ended early")

    def _start_over(self, why: str) -> None:
        note = f"Starting over: {why}." if self._have else ""
        self._part.unlink(missing_ok=True)
        self._claim_file.unlink(missing_ok=True)
        self._claim, self._have, self._continued = None, 0, False
        self._hash = hashlib.sha256()
        self._report(Progress("download", 0, None, note))

    def _has_right_digest(self) -> bool:
        return self._wanted.sha256 in {None, self._hash.hexdigest()}

    def _is_right(self, path: Path) -> bool:
        """True for a file that an earlier run finished and nobody used."""
        if self._wanted.sha256 is None:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self._wanted.sha256

    def _settle(self) -> None:
        if not self._has_right_digest():
            self._part.unlink(missing_ok=True)
            self._claim_file.unlink(missing_ok=True)
            raise DigestMismatch(
                f"{self._wanted.shown} is not the file that was promised: SHA-256 "
                f"{self._hash.hexdigest()} instead of {self._wanted.sha256}. It was thrown away.",
                next_step="Try again; if it stays so, the index or a proxy changes files.",
            )
        settle(self._part, self._target)
        self._claim_file.unlink(missing_ok=True)

    def _failed(self, fault: str) -> FetchError:
        return FetchError(
            f"{self._wanted.shown} could not be fetched: {fault}. "
            f"{size_text(self._have)} are here and kept.",
            next_step="The same command goes on where it stopped.",
        )
