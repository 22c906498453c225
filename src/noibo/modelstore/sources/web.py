"""A file at an address: `https://HOST/FILE.gguf`, its SHA-256 pinned by `#sha256=…` if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx2

from noibo.egress import Door, Purpose
from noibo.errors import BadReference
from noibo.modelstore.download.remote_file import RemoteFile
from noibo.modelstore.offer import Offer, Role
from noibo.modelstore.origin import Web, pinned_sha256
from noibo.modelstore.parts import MAX_PARTS, Part
from noibo.modelstore.progress import Cancel, Report
from noibo.modelstore.web.credentials import without_password
from noibo.modelstore.web.session import WebSession
from noibo.settings import Fetch


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart: what is fetched, who asks, what must come."""

    url: str = field(repr=False)  # it may carry a signature
    auth: httpx2.BasicAuth | None = field(repr=False)
    sha256: str | None

    @classmethod
    def of(cls, text: str) -> Address:
        """Raises `BadReference` for a fragment that is no pin."""
        parts, pin = urlsplit(text), pinned_sha256(Web(text))
        if parts.fragment and pin is None:
            raise BadReference(
                f"What stands after # in {Web(text)} says nothing that noibo understands.",
                next_step="A digest is pinned with #sha256= and 64 hexadecimal digits.",
            )
        auth = None
        if parts.username is not None:
            auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
        url = without_password(urlunsplit(parts._replace(fragment="")))
        return cls(url, auth, pin)

    def parts(self) -> tuple[str, ...]:
        """The address, or those of all parts of the split model that it is one of."""
        address = urlsplit(self.url)
        part = Part.of(address.path)
        if part is None:
            return (self.url,)
        if self.sha256 or address.query or not 1 <= part.number <= part.count <= MAX_PARTS:
            raise BadReference(
                f"{address.path.rpartition('/')[2]} is one of {part.count} parts of a model, and "
                "the addresses or digests of the others do not follow from this one.",
                next_step="Fetch the parts into a folder, and `noibo import FOLDER/`.",
            )
        paths = (part.path(number) for number in range(1, part.count + 1))
        return tuple(urlunsplit(address._replace(path=path)) for path in paths)


class WebSource:
    """Offers what `origin.Web` names."""

    def __init__(self, door: Door, fetch: Fetch) -> None:
        self._door = door
        self._fetch = fetch

    @contextmanager
    def offer(self, origin: Web, report: Report, cancel: Cancel | None = None) -> Iterator[Offer]:
        """One file (or the parts of one model); nothing is asked before it is fetched."""
        address = Address.of(origin.url)
        with WebSession(
            self._door,
            Purpose.MODEL_FILE,
            [address.url],
            self._fetch.private_hosts,
            address.auth,
            cancel,
        ) as session:
            files = [
                self._remote(session, url, "part" if number else "model", address.sha256)
                for number, url in enumerate(address.parts())
            ]
            yield Offer(source=str(origin), files=tuple(files))

    def _remote(self, session: WebSession, url: str, role: Role, sha256: str | None) -> RemoteFile:
        return RemoteFile(
            role=role,
            name=unquote(urlsplit(url).path).rpartition("/")[2],
            url=url,
            shown=str(Web(url)),
            size=None,
            sha256=sha256,
            open_url=session.open,
            connections=self._fetch.connections,
        )
