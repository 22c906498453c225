"""A file at an address, as sources offer it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.download import Download, Opener, Patience
from noibo.modelstore.offer import Fetched, Role
from noibo.modelstore.progress import Cancel, Report


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of an offer that is fetched over HTTP. `url` may carry a signature.

    The part is named after the digest, else after the address: whoever offers the same bytes goes
    on with the same part."""

    role: Role
    name: str
    url: str = field(repr=False)
    shown: str
    size: int | None
    sha256: str | None
    open_url: Opener = field(repr=False)
    git_sha1: str | None = None
    patience: Patience = Patience()
    connections: int = 4

    def fetch(self, folder: Path, reserve: int, report: Report, cancel: Cancel) -> Fetched:
        """Bring it into `folder`, going on from what is there."""
        wanted = Wanted(
            self.url, self.shown, self.sha256, reserve, size=self.size, git_sha1=self.git_sha1
        )
        target = folder / self._file_name()
        return Download(
            wanted, target, self.open_url, report, self.patience, cancel, self.connections
        ).run()

    def _file_name(self) -> str:
        if self.sha256 is not None:
            return f"sha256-{self.sha256}"
        if self.git_sha1 is not None:
            return f"git-{self.git_sha1}"
        return f"url-{hashlib.sha256(self.url.encode()).hexdigest()}"
