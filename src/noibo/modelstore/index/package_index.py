"""Finds a wheel on the package index the user's pip is set to. It is never installed or run.

`unearth` reads the pages (PEP 503 and 691, folders, find-links); `IndexSession` carries them
through the door; `PipSettings` says where to look.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from noibo.egress import Door, Purpose
from noibo.errors import FetchError, NotOffered
from noibo.modelstore.download.download import Opener
from noibo.modelstore.index import pip_settings
from noibo.modelstore.index.index_session import IndexSession
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.progress import Cancel
from noibo.modelstore.web.credentials import clean, without_password

if TYPE_CHECKING:
    from unearth import Link


@dataclass(frozen=True, slots=True)
class WheelLink:
    """Where one wheel can be had: a URL, or a file that lies on this machine already.

    `source` is the index or page the user named, from which the search came here: what an index
    says of itself (a `<base>`) counts for nothing.
    """

    url: str = field(repr=False)
    source: str = field(repr=False)
    sha256: str | None
    path: Path | None
    version: str = ""

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return str(self.path) if self.path else clean(self.url)


class PackageIndex:
    """The indexes and folders of the user's pip."""

    def __init__(self, door: Door, pip: PipSettings) -> None:
        self.pip = pip
        self._door = door
        self._indexes = _existing(pip.indexes)
        self._find_links = _existing(pip.find_links)
        self._session = IndexSession(door, pip, [*self._find_links, *self._indexes])

    @classmethod
    def of_the_user(cls, door: Door) -> PackageIndex:
        """The one that `python -m pip` is set to."""
        return cls(door, pip_settings.read())

    def __enter__(self) -> PackageIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def heed(self, cancel: Cancel) -> None:
        """End every wait for a page when `cancel` is asked."""
        self._session.waits.cancel = cancel

    def find(self, package: str, version: str | None) -> Iterator[WheelLink]:
        """Places that have the wheel; the next source is asked when the caller wants another.

        Where no version is given, the latest that each place has.

        Offline, only folders and file:// indexes are looked at; without any luck there the door
        says why no more was tried. Raises `FetchError` where there is none at all.
        """
        found = False
        for source, kind in self._sources():
            for link in self._search(source, kind, package, version):
                found = True
                yield link
        if found:
            return
        if self._door.offline:
            self._door.open(Purpose.PACKAGE_INDEX, ())
        faults = "; ".join(dict.fromkeys(self._session.faults))
        raise (FetchError if faults else NotOffered)(
            f"No wheel of {_required(package, version)} was found where pip is set to look"
            + (f" ({faults})." if faults else "."),
            next_step=f"See what pip finds: `python -m pip download --no-deps "
            f"{_required(package, version)}`. Its settings: `python -m pip config debug`.",
        )

    def opener(self, link: WheelLink) -> Opener:
        """What `Download` fetches a link with."""
        self._session.admit(link.url, link.source)
        return lambda url, headers: self._session.get_stream(url, headers=headers)

    def _sources(self) -> Iterator[tuple[str, str]]:
        kinds = {"find_links": self._find_links, "index_urls": self._indexes}
        for kind, places in kinds.items():
            for place in places:
                if place.startswith("file:") or not self._door.offline:
                    yield place, kind

    def _search(
        self, source: str, kind: str, package: str, version: str | None
    ) -> Iterator[WheelLink]:
        from unearth import PackageFinder

        # What it would warn of is kept in `faults`, without secrets.
        logging.getLogger("unearth").setLevel(logging.CRITICAL)
        finder = PackageFinder(
            session=cast("Any", self._session),
            trusted_hosts=self.pip.trusted_hosts,
            only_binary=[package],
            ignore_compatibility=True,  # it is only unpacked
            **cast("Any", {kind: [without_password(source)]}),
        )
        try:
            matches = list(finder.find_matches(_required(package, version)))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:  # unearth lets these out
            self._session.faults.append(f"{clean(source)}: unreadable ({type(exc).__name__})")
            return
        for match in matches:
            if source.startswith("file:") or not match.link.is_file:
                yield _wheel_link(match.link, source, match.version or "")


def _required(package: str, version: str | None) -> str:
    return f"{package}=={version}" if version else package


def _wheel_link(link: Link, source: str, version: str) -> WheelLink:
    hashes = link.hash_option or {}
    return WheelLink(
        url=link.url_without_fragment,
        source=source,
        sha256=next(iter(hashes.get("sha256", [])), None),
        path=link.file_path if link.is_file else None,
        version=version,
    )


def _existing(places: tuple[str, ...]) -> list[str]:
    """URLs as they are, folders as file URLs; what does not exist is passed over, as pip does."""
    kept = []
    for place in places:
        if "://" in place:
            kept.append(place)
        elif (folder := Path(place).expanduser()).exists():
            kept.append(folder.absolute().as_uri())
    return kept
