"""Passwords: taken out of URLs before anybody reads them, and given to their own host only."""

from __future__ import annotations

import netrc
from collections.abc import Generator, Iterable
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import httpx2


def clean(url: str) -> str:
    """The URL for human eyes: no user, no password, no query (it may be a signature)."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, _host_and_port(parts), parts.path, "", ""))


def without_password(url: str) -> str:
    """The URL without user and password, otherwise whole."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=_host_and_port(parts)))


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


class Credentials(httpx2.Auth):
    """Basic authentication from index addresses, else netrc, each for its own host and port."""

    def __init__(self, urls: Iterable[str], netrc_file: str | None = None) -> None:
        self._urls = [parts for parts in map(urlsplit, urls) if parts.username is not None]
        self._netrc = _read_netrc(netrc_file)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        found = self._find(request.url)
        if found is None:
            yield request
        else:
            yield from httpx2.BasicAuth(*found).auth_flow(request)

    def _find(self, url: httpx2.URL) -> tuple[str, str] | None:
        target = urlsplit(str(url))
        same = [one for one in self._urls if _place(one) == _place(target)]
        if same:
            best = max(same, key=lambda one: target.path.startswith(one.path) * len(one.path))
            return unquote(best.username or ""), unquote(best.password or "")
        entry = self._netrc.authenticators(url.host) if self._netrc else None
        return (entry[0], entry[2] or "") if entry else None


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _read_netrc(named: str | None) -> netrc.netrc | None:
    names = [named] if named else ["~/.netrc", "~/_netrc"]
    for path in (Path(name).expanduser() for name in names):
        try:
            return netrc.netrc(str(path))
        except (OSError, netrc.NetrcParseError):
            continue  # as pip: a netrc that cannot be read is no netrc
    return None
