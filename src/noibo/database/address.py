"""Where the database is: a file in NOIBO_HOME, or what `database.url` names.

Light: nothing of SQLAlchemy is imported to read an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from noibo.errors import SettingsError

FILE_NAME: Final = "noibo.db"
POSTGRESQL: Final = "postgresql"
POSTGRESQL_PORT: Final = 5432
_SAID: Final = frozenset({"host", "port", "ssl", "passfile", "direct_tls"})  # after the ?
_SCHEME: Final = f"{POSTGRESQL}+asyncpg://"
_FORMS: Final = "sqlite:////folder/noibo.db or postgresql+asyncpg://USER:PASSWORD@HOST/NAME"


@dataclass(frozen=True, slots=True)
class Address:
    """A database's place. `path` is its file; of PostgreSQL it is None, and `host` says which."""

    url: str
    path: Path | None = None
    host: str = ""
    port: int = 0

    @property
    def shown(self) -> str:
        """The address without its password."""
        if self.path is not None:
            return str(self.path)
        parts = urlsplit(self.url)
        return f"{_SCHEME}{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def leaves_the_machine(self) -> bool:
        """True for a database that is reached over a network. A socket's folder begins with /."""
        if self.path is not None or not self.host or self.host.startswith("/"):
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"

    @classmethod
    def read(cls, url: str, home: Path) -> Address:
        """What `database.url` says; empty: the file in `home`. Raises `SettingsError`."""
        if not url:
            return cls._file(home / FILE_NAME)
        try:
            parts = urlsplit(url)
            kind, _, driver = parts.scheme.partition("+")
            port = parts.port or POSTGRESQL_PORT
        except ValueError as exc:
            raise _unreadable(str(exc)) from exc
        if kind == "sqlite" and not driver:
            if not parts.path.strip("/") or parts.netloc:
                raise _unreadable("it names no file")
            return cls._file(home / parts.path.removeprefix("/"))
        if kind in {POSTGRESQL, "postgres"} and driver in {"", "asyncpg"}:
            said = dict(parse_qsl(parts.query))
            if "sslmode" in said:  # as other programs call what asyncpg calls ssl
                said["ssl"] = said.pop("sslmode")
            for name in said.keys() - _SAID:
                raise _unreadable(f"{name} in it is not known")
            host = _host(parts.hostname or "", said)
            rest = f"?{urlencode(said)}" if said else ""
            url = f"{_SCHEME}{parts.netloc}{parts.path}{rest}"
            return cls(url, None, host, port)
        raise _unreadable(f"{parts.scheme or 'no scheme'} is not one noibo knows")

    @classmethod
    def _file(cls, path: Path) -> Address:
        return cls(f"sqlite:///{path}", path)


def _host(named: str, said: Mapping[str, str]) -> str:
    """The one that is connected to: nothing else in the address, and nothing in the environment,
    may say another."""
    socket = said.get("host", "")
    if named and not {"host", "port"} & said.keys():
        return named
    if socket.startswith("/") and not named:
        return socket
    raise _unreadable("its host stands before the name, or is a socket's folder: ?host=/run/pg")


def _unreadable(why: str) -> SettingsError:
    """The address may hold a password: it is not repeated."""
    return SettingsError(f"database.url cannot be used: {why}.", next_step=f"Write {_FORMS}.")
