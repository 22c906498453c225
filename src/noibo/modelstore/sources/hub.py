"""Hugging Face, or a mirror of it: repositories of GGUF files, and checkpoints as safetensors.

The commit is looked up first and pinned: every file comes from it, with the digest it has there.
Several addresses are tried in turn; the user's token goes to the first, and to Hugging Face's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from huggingface_hub import ModelInfo

from noibo.egress import Door
from noibo.errors import AccessNeeded, BadReference, FetchError, NotOffered
from noibo.modelstore.download.remote_file import RemoteFile
from noibo.modelstore.offer import Offer
from noibo.modelstore.origin import Hub, parse
from noibo.modelstore.progress import Cancel, Report
from noibo.modelstore.sources import hub_library
from noibo.modelstore.sources.hub_endpoint import HubEndpoint
from noibo.modelstore.sources.hub_files import Chosen, choose
from noibo.modelstore.sources.hub_licence import HubLicence
from noibo.modelstore.sources.hub_listing import HubFile, checked
from noibo.modelstore.web.credentials import clean
from noibo.settings import Fetch

FORMATS: Final = ("gguf", "safetensors")
OWN_HOSTS: Final = frozenset({"huggingface.co", "hf.co"})
MAX_LICENCE_BYTES: Final = 256 * 1024
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubHit:
    """A repository that a search found. `formats` of those noibo reads: gguf, safetensors."""

    repo: str
    downloads: int
    likes: int
    licence: str | None
    gated: bool
    updated: datetime | None
    formats: tuple[str, ...]


class HubSource:
    """Offers what `origin.Hub` names, and searches."""

    def __init__(self, door: Door, fetch: Fetch) -> None:
        self._door = door
        self._fetch = fetch

    @contextmanager
    def offer(self, origin: Hub, report: Report, cancel: Cancel | None = None) -> Iterator[Offer]:
        """The files of one model at the commit that its revision is now."""
        tried: list[str] = []
        for url in self._addresses():
            with ExitStack() as stack:
                try:
                    endpoint = stack.enter_context(self._endpoint(url, cancel))
                    offered = self._offer(endpoint, origin)
                except (NotOffered, AccessNeeded):
                    raise
                except FetchError as exc:
                    tried.append(str(exc))
                    continue
                yield offered
                return
        raise _unreachable(tried)

    def search(self, words: str, limit: int = 20) -> list[HubHit]:
        """Repositories with a format that noibo reads, the most fetched first."""
        tried: list[str] = []
        for url in self._addresses():
            try:
                with self._endpoint(url) as endpoint:
                    found = endpoint.search(words, min(100, 3 * limit))
            except FetchError as exc:
                tried.append(str(exc))
                continue
            hits = [_hit(info) for info in found if _is_repo(info.id)]
            return [hit for hit in hits if hit.formats][:limit]
        raise _unreachable(tried)

    def _addresses(self) -> list[str]:
        first = self._fetch.hub or hub_library.default_endpoint()
        return list(dict.fromkeys(one.rstrip("/") for one in (first, *self._fetch.hub_mirrors)))

    def _endpoint(self, url: str, cancel: Cancel | None = None) -> HubEndpoint:
        is_trusted = url == self._addresses()[0] or urlsplit(url).hostname in OWN_HOSTS
        token = hub_library.token() if is_trusted else None
        return HubEndpoint(self._door, self._fetch, url, token, cancel)

    def _offer(self, endpoint: HubEndpoint, origin: Hub) -> Offer:
        repo, where = origin.repo, f"hf.co/{origin.repo}"
        info = endpoint.info(repo, origin.revision)
        commit = str(info.sha)
        if not _COMMIT.fullmatch(commit):
            raise FetchError(f"{clean(endpoint.url)} names no commit of {where}.")
        files = checked(map(_listed, info.siblings or ()), where)
        quantisation = None if origin.quantisation == "latest" else origin.quantisation
        chosen = choose(files, repo, quantisation, origin.file)
        if info.gated:
            url = endpoint.file_url(repo, commit, chosen[0].file.path)
            endpoint.require_access(repo, url)
        licence = HubLicence.of(info, files)
        return Offer(
            source=_source(endpoint, repo, commit, chosen),
            files=tuple(self._remote(endpoint, repo, commit, one) for one in chosen),
            licence=licence.name,
            licence_text=licence.file
            and endpoint.text(repo, commit, licence.file, MAX_LICENCE_BYTES),
            licence_link=licence.link,
        )

    def _remote(self, endpoint: HubEndpoint, repo: str, commit: str, one: Chosen) -> RemoteFile:
        return RemoteFile(
            role=one.role,
            name=one.name,
            url=endpoint.file_url(repo, commit, one.file.path),
            shown=f"{one.file.path} of hf.co/{repo}",
            size=one.file.size,
            sha256=one.file.sha256,
            open_url=partial(endpoint.open, repo),
            git_sha1=None if one.file.sha256 else one.file.git_sha1,
            connections=self._fetch.connections,
        )


def _listed(sibling: Any) -> HubFile:
    """A file of the listing. Of a large one, the size that counts is that of its content."""
    lfs = sibling.lfs
    return HubFile(
        path=sibling.rfilename,
        size=lfs.size if lfs else sibling.size,
        sha256=lfs.sha256 if lfs else None,
        git_sha1=sibling.blob_id,
    )


def _source(endpoint: HubEndpoint, repo: str, commit: str, chosen: tuple[Chosen, ...]) -> str:
    more = f" and {len(chosen) - 1} more" if len(chosen) > 1 else ""
    host = urlsplit(endpoint.url).hostname
    through = "" if host in OWN_HOSTS else f" (through {host})"
    return f"hf.co/{repo} at {commit[:9]}, {chosen[0].file.path}{more}{through}"


def _is_repo(name: object) -> bool:
    """True for what can be pulled as hf.co/NAME."""
    try:
        found = parse(f"hf.co/{name}")
    except BadReference:
        return False
    return isinstance(found, Hub) and found.repo == name


def _hit(info: ModelInfo) -> HubHit:
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    licences = [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
    return HubHit(
        repo=info.id,
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        licence=licences[0] if licences else None,
        gated=bool(info.gated),
        updated=info.last_modified,
        formats=tuple(kind for kind in FORMATS if kind in tags),
    )


def _count(number: object) -> int:
    return number if isinstance(number, int) else 0


def _unreachable(tried: list[str]) -> FetchError:
    if len(tried) == 1:
        return FetchError(tried[0], next_step="Other addresses can be set: fetch.hub_mirrors.")
    lines = "\n".join(f"- {one}" for one in tried)
    return FetchError(f"No address of the hub could be used:\n{lines}")
