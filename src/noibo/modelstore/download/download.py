"""Brings one file here, whatever happens on the way.

Bytes go to `NAME.part`, over several connections at once and in any order; what is beside it
(`pieces`) says whose bytes they are, and of each piece how far it came. After a cut, a crash, a
kill or Ctrl-C the next try fetches only what is missing, and what on the disk is not as it came.
It starts over, and says so, only when the server cannot continue or has another file now. Only when
the digest is right does the file get its name; the table of its pieces stays beside it, as
`NAME.pieces`, so that later damage can be mended alone.

`NAME.part.lock` is held all the while: whoever wants the same file at the same time waits, and then
looks again at what is here.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import DigestMismatch, FetchError
from noibo.modelstore.disk import faults_named, require_space, settle, turn, write_atomically
from noibo.modelstore.download.answer import Asking, Opener
from noibo.modelstore.download.claim import Claim, Wanted, claim_of, read_claim
from noibo.modelstore.download.digest import STEP, Digest, git_sha1
from noibo.modelstore.download.faults import Faults, FileChanged, FromTheStart, Patience
from noibo.modelstore.download.lanes import Lanes, Means
from noibo.modelstore.download.pieces import Pieces, adopt, discard, lock_of, part_of, seen
from noibo.modelstore.download.pieces_table import Cut, table_of
from noibo.modelstore.download.repair import Repair
from noibo.modelstore.download.telling import Telling
from noibo.modelstore.offer import Fetched
from noibo.modelstore.progress import Cancel, Progress, Report, size_text

__all__ = ["Download", "Opener", "Patience"]

STARTS_OVER: Final = 3  # for a file that changes while it is fetched


class Download:
    """The life of one `.part` file."""

    def __init__(  # noqa: PLR0913, PLR0917 - a file, where to, and how
        self,
        wanted: Wanted,
        target: Path,
        open_url: Opener,
        report: Report,
        patience: Patience,
        cancel: Cancel | None = None,
        connections: int = 4,
        cut: Cut | None = None,
    ) -> None:
        self._wanted = wanted
        self._target = target
        self._open = open_url
        self._part = part_of(target)
        self._telling = Telling(report)
        self._cut = cut or Cut()
        self._means = Means(
            self._telling,
            Faults(patience),
            patience,
            cancel or Cancel(),
            max(1, connections),
            self._cut,
        )
        self._claim: Claim | None = None
        self._pieces: Pieces | None = None
        self._digest = Digest()
        self._plainly = False

    def run(self) -> Fetched:
        """Fetch until the target is there.

        Raises `FetchError` (`AccessNeeded`, `NotOffered`), `DigestMismatch`, `DiskFull`,
        `Cancelled`; what is here is kept, but for bytes that are not what was promised. `report` is
        called in this thread only.

        What had no SHA-256 promised gets a name that nobody else uses: the next one who fetches
        it must not replace it before it is taken away."""
        with (
            faults_named(self._target.parent, self._wanted.reserve),
            turn(lock_of(self._part), self._wait, self._far),
        ):
            try:
                if not self._is_finished():
                    self._recover()
                    self._bring_right()
                    self._settle()
                self._telling.flush()
            finally:
                if self._pieces is not None:
                    self._pieces.close()
            return Fetched(self._target, self._target.stat().st_size, self._digest.sha256)

    def _wait(self, progress: Progress) -> None:
        """Somebody else fetches it."""
        self._means.cancel.check()
        if progress.note:
            self._telling.note(progress.note)
        self._telling.show(progress.stage, progress.done, progress.total)

    def _far(self) -> tuple[int, int | None]:
        return seen(self._part) or (0, self._wanted.size)

    # What is here

    def _is_finished(self) -> bool:
        """True for a file that an earlier run finished. One that went bad becomes a part."""
        wanted, target = self._wanted, self._target
        if wanted.sha256 is None or not target.is_file():
            return False
        size = target.stat().st_size
        if wanted.size in {None, size}:
            with target.open("rb") as file:
                while data := file.read(STEP):
                    self._means.cancel.check()
                    self._digest.take(self._digest.at, data)
                    self._telling.show("check", self._digest.at, size)
            if self._digest.fits(wanted, target):
                self._tidy()
                return True
            self._digest = Digest()
        if adopt(target, table_of(target), target, wanted.sha256):
            self._telling.note(f"{target.name} has gone bad; only what is bad is fetched again.")
        return False

    def _recover(self) -> None:
        """Take up what an earlier run left, if it is part of this same file and as it came."""
        claim = read_claim(self._part)
        if claim is not None and claim.is_of(self._wanted):
            self._pieces = Pieces.take_up(self._part, claim.total)
        if self._pieces is None:
            discard(self._part)
            return
        self._claim = claim
        lost = self._check()
        if lost:
            note = f"{size_text(lost)} of what was here are damaged, and fetched again."
            self._telling.note(note)
        if self._pieces.done:
            self._telling.note(f"Continuing at {size_text(self._pieces.done)}.")
        self._means.faults.start(self._pieces.done)
        self._watch()

    def _check(self) -> int:
        """Compare every piece on disk with its record; returns the bytes that do not fit."""
        pieces = self._here()
        self._digest, come, checked = Digest(), pieces.done, 0

        def note(at: int, data: bytes) -> None:
            nonlocal checked
            self._means.cancel.check()
            self._digest.take(at, data)
            checked += len(data)
            self._telling.show("check", checked, come)

        return pieces.check(note)

    def _here(self) -> Pieces:
        if self._pieces is None:
            raise AssertionError("nothing has come yet")
        return self._pieces

    # What is missing

    def _bring_right(self) -> None:
        """All bytes, and the right ones; raises `DigestMismatch` after throwing away wrong ones."""
        self._bring()
        if self._fits():
            return
        if self._check():  # the disk, not the way here
            self._telling.note("The disk lost a part of it, which is fetched again.")
            self._bring()
            if self._fits():
                return
        self._telling.note("Its digest is wrong; looking for the bad part.")
        digest = Repair(self._asking(), self._open, self._here(), self._means).run()
        if digest is None:
            self._refuse()
        else:
            self._digest = digest

    def _bring(self) -> None:
        starts = 0
        while self._pieces is None or not self._pieces.is_whole:
            try:
                self._run_lanes()
            except FromTheStart as exc:
                self._plainly = True
                self._start_over(str(exc))
            except FileChanged as exc:
                starts += 1
                if starts > STARTS_OVER:
                    raise FetchError(
                        f"{self._wanted.shown} could not be fetched: it became another file "
                        f"{starts} times meanwhile.",
                        next_step="Try again later, when it is no longer being changed.",
                    ) from None
                self._start_over(str(exc))
        while self._digest.follow(self._pieces):
            self._means.cancel.check()
            self._telling.show("check", self._digest.at, self._pieces.total)

    def _run_lanes(self) -> None:
        pieces = self._pieces
        lanes = Lanes(self._asking(), self._means, self._begin, pieces)
        if pieces is None:
            lanes.plan_one(0, None if self._plainly else self._cut.piece)
        elif pieces.total is None:
            lanes.plan_one(pieces.prefix(), None)
        else:
            require_space(self._part.parent, pieces.total - pieces.done + self._wanted.reserve)
            lanes.plan(list(pieces.missing()))
        lanes.run(self._watch)

    def _asking(self) -> Asking:
        return Asking(self._wanted, self._open, self._claim, self._plainly)

    def _begin(self, claim: Claim) -> Pieces:
        """The first answer says which file it is. Nothing is written before there is room."""
        expected = claim.total if claim.total is not None else self._wanted.size or 0
        require_space(self._part.parent, expected + self._wanted.reserve)
        discard(self._part)
        self._pieces = Pieces.begin(self._part, self._cut.chunk, claim.total)
        write_atomically(claim_of(self._part), msgspec.json.encode(claim))
        self._claim = claim
        return self._pieces

    def _watch(self) -> bool:
        """What is done while bytes come: the digest follows them, and people are told."""
        if self._pieces is None:
            self._telling.show("download", 0, self._wanted.size)
            return False
        has_more = self._digest.follow(self._pieces)
        self._telling.show("download", self._pieces.done, self._pieces.total)
        return has_more

    def _start_over(self, why: str) -> None:
        if self._pieces is not None:
            if self._pieces.done:
                self._telling.note(f"Starting over: {why}.")
            self._pieces.close()
        discard(self._part)
        self._pieces, self._claim, self._digest = None, None, Digest()

    # The end

    def _fits(self) -> bool:
        return self._digest.fits(self._wanted, self._part)

    def _refuse(self) -> None:
        wanted = self._wanted
        found, promised = f"SHA-256 {self._digest.sha256}", wanted.sha256
        if promised is None or promised == self._digest.sha256:
            found, promised = f"git's id {git_sha1(self._part)}", wanted.git_sha1
        self._here().close()
        discard(self._part)
        raise DigestMismatch(
            f"{wanted.shown} is not the file that was promised: {found} instead of {promised}. A "
            "second copy was no better. It was thrown away.",
            next_step="Try again; if it stays so, the source or a proxy changes files.",
        )

    def _settle(self) -> None:
        self._here().finish(self._digest.sha256)
        if self._wanted.sha256 is None:  # nobody holds a lock for it when this one is let go
            self._target = self._target.with_name(f"{self._target.name}.{secrets.token_hex(8)}")
        settle(self._part, self._target)
        self._tidy()

    def _tidy(self) -> None:
        """The table stays beside the finished file; also after a kill just before this."""
        table = table_of(self._part)
        if not self._part.exists():
            if table.exists():
                table.replace(table_of(self._target))
            claim_of(self._part).unlink(missing_ok=True)
