"""How a request came: whether from this machine by itself, and under which name.

An application cannot know where its server listens, so it is judged request by request. What came
from elsewhere or to another address than loopback is remote; so is what a proxy on this machine
passed on. A proxy shows in a header of forwarding, in HTTP/1.0 (nginx, unless it is told
otherwise), or in a `Host` that is not this machine's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from noibo.addresses import is_own

_IN_SCOPE: Final = "noibo.arrival"
_FORWARDED: Final = frozenset(
    (
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
        *(b"x-forwarded-server", b"x-forwarded", b"x-real-ip", b"x-client-ip", b"true-client-ip"),
        *(b"via", b"cf-connecting-ip", b"fly-client-ip", b"x-envoy-external-address"),
    )
)
# Windows of installed programs; no page of the web can say that it is one. After Ollama's.
_APPS: Final = frozenset({"app", "tauri", "vscode-file", "vscode-webview"})
# This machine as it is called inside a container on it. Nobody can register such a name.
_NAMES: Final = frozenset({"localhost", "host.docker.internal", "host.containers.internal"})
_LONGEST: Final = 300  # of what is remembered; no name that can be called is longer


@dataclass(frozen=True, slots=True)
class Arrival:
    """`headers` by their names in small letters, `host` as it was sent; `forwarded`: by a proxy's
    own word; `far`: one of its ends is on another machine."""

    headers: Mapping[bytes, bytes]
    host: str
    forwarded: bool
    far: bool

    @property
    def remote(self) -> bool:
        """True for what did not come from this machine to this machine, by itself."""
        return self.far or self.forwarded or not (self.host == "" or is_here(f"//{self.host}"))

    def header(self, name: bytes) -> str:
        """What a header says; empty where it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Arrival:
        """How this request came: looked at once."""
        found = scope.get(_IN_SCOPE)
        if not isinstance(found, cls):
            found = scope[_IN_SCOPE] = cls._read(scope)
        return found

    @classmethod
    def _read(cls, scope: MutableMapping[str, Any]) -> Arrival:
        headers = dict(scope["headers"])
        return cls(
            headers,
            headers.get(b"host", b"").decode("latin-1"),
            scope["http_version"] == "1.0" or not _FORWARDED.isdisjoint(headers),
            not all(end and is_own(end[0]) for end in (scope["client"], scope["server"])),
        )


def is_here(url: str) -> bool:
    """True for this machine's own names, and for what is installed on it."""
    return len(url) <= _LONGEST and _is_here(url)


@functools.lru_cache(maxsize=1024)
def _is_here(url: str) -> bool:
    try:
        parts = urlsplit(url)
        name = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in _APPS or name in _NAMES or is_own(name)
