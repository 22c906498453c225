"""Files attached to releases on GitHub, by its REST API; or a server of one's own with that API."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from noibo.egress import Door, Purpose
from noibo.errors import FetchError, NotOffered
from noibo.modelstore.download.remote_file import RemoteFile
from noibo.modelstore.offer import Offer
from noibo.modelstore.origin import Release
from noibo.modelstore.parts import whole
from noibo.modelstore.progress import Cancel, Report
from noibo.modelstore.sources.hub_listing import MAX_BYTES
from noibo.modelstore.web.credentials import clean
from noibo.modelstore.web.faults import status_fault
from noibo.modelstore.web.session import WebSession
from noibo.settings import Fetch

T = TypeVar("T")

_HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}


class Asset(msgspec.Struct):
    """A file of a release. `digest` is `sha256:…` where GitHub computed it (since June 2025)."""

    name: str
    browser_download_url: str
    size: int
    digest: str | None = None
    state: str = "uploaded"

    @property
    def sha256(self) -> str | None:
        kind, _, digest = (self.digest or "").partition(":")
        is_plain = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        return digest if kind == "sha256" and is_plain else None


class Published(msgspec.Struct):
    """A release, as much of it as is needed."""

    tag_name: str
    assets: list[Asset] = []


class _Licence(msgspec.Struct):
    spdx_id: str | None = None


class _Repository(msgspec.Struct):
    license: _Licence | None = None


class GithubSource:
    """Offers what `origin.Release` names."""

    def __init__(self, door: Door, fetch: Fetch) -> None:
        self._door = door
        self._fetch = fetch
        self._api = fetch.github.rstrip("/")

    @contextmanager
    def offer(
        self, origin: Release, report: Report, cancel: Cancel | None = None
    ) -> Iterator[Offer]:
        """One file, or all parts of a split model, of one release."""
        with WebSession(
            self._door, Purpose.MODEL_FILE, [self._api], self._fetch.private_hosts, cancel=cancel
        ) as session:
            yield self._offer(session, origin)

    def _offer(self, session: WebSession, origin: Release) -> Offer:
        repo = f"{origin.owner}/{origin.repo}"
        published = self._release(session, repo, origin.tag)
        where = f"github.com/{repo} at {published.tag_name}"
        assets = {one.name: one for one in published.assets if one.state == "uploaded"}
        if origin.file not in assets:
            raise _no_such_asset(origin.file, list(assets), where)
        files = [
            self._remote(session, assets[name], "part" if number else "model", where)
            for number, name in enumerate(whole(origin.file, assets))
        ]
        return Offer(
            source=f"{where}, {files[0].name}",
            files=tuple(files),
            licence=self._licence(session, repo),
        )

    def _release(self, session: WebSession, repo: str, tag: str | None) -> Published:
        which = f"tags/{quote(tag, safe='')}" if tag else "latest"
        url = f"{self._api}/repos/{repo}/releases/{which}"
        answer = session.get(url, _HEADERS)
        if answer.status_code == 404:
            what = f"release {tag}" if tag else "release"
            raise NotOffered(
                f"github.com/{repo} has no {what}, or is not there, or is private.",
                next_step=f"See https://github.com/{repo}/releases.",
            )
        _refuse(answer, self._api)
        return _decoded(answer, Published, self._api)

    def _remote(self, session: WebSession, asset: Asset, role: Any, where: str) -> RemoteFile:
        if not 0 <= asset.size <= MAX_BYTES:
            raise FetchError(f"{where} says that {asset.name} has {asset.size} bytes: refused.")
        session.admit(asset.browser_download_url, self._api)
        return RemoteFile(
            role=role,
            name=asset.name,
            url=asset.browser_download_url,
            shown=f"{asset.name} of {where}",
            size=asset.size,
            sha256=asset.sha256,
            open_url=session.open,
            connections=self._fetch.connections,
        )

    def _licence(self, session: WebSession, repo: str) -> str | None:
        """Of the repository, as GitHub recognised it; the model's own may be another."""
        try:
            answer = session.get(f"{self._api}/repos/{repo}", _HEADERS)
            if answer.status_code != 200:
                return None
            found = _decoded(answer, _Repository, self._api).license
        except FetchError:
            return None
        return found.spdx_id if found and found.spdx_id != "NOASSERTION" else None


def _decoded(answer: httpx2.Response, kind: type[T], api: str) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise FetchError(
            f"{clean(api)} answers with something else than GitHub's API.",
            next_step="Check fetch.github; a proxy or a sign-in page may stand in between.",
        ) from exc


def _refuse(answer: httpx2.Response, api: str) -> None:
    if answer.status_code == 200:
        return
    spent = answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers
    if answer.status_code == 429 or (answer.status_code == 403 and spent):
        raise FetchError(
            f"{clean(api)} takes no more requests from here for now: its limit for callers who are "
            "not signed in is reached.",
            next_step="Try again within the hour, or give the file's own address: "
            "https://github.com/OWNER/REPO/releases/download/TAG/FILE.",
        )
    raise FetchError(f"{status_fault(api, answer.status_code)}.")


def _no_such_asset(file: str, names: list[str], where: str) -> NotOffered:
    near = difflib.get_close_matches(file, names, n=5, cutoff=0.3) or names[:5]
    return NotOffered(
        f"{where} has no file {file}.",
        next_step=f"It has: {', '.join(near)}." if near else "It has no files at all.",
    )
