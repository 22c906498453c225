"""The one place where SQLAlchemy's errors, and those of its drivers, end."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from noibo.database.address import Address
from noibo.errors import DatabaseError, DiskFull, NoiboError

_BUSY_AGAIN_S: Final = 1.0
# By the beginning of SQLite's own name for an error: the message, and what to do about it.
_SQLITE: Final = {
    "SQLITE_NOTADB": (
        "{} is no database, or a damaged one.",
        "Move it away: noibo begins a new one. Or name another: database.url.",
    ),
    "SQLITE_CORRUPT": (
        "The database {} is damaged.",
        "Stop noibo and save what can be read (`sqlite3 OLD .recover | sqlite3 NEW`), or move the"
        " file away: noibo begins a new one.",
    ),
    "SQLITE_READONLY": (
        "Nothing can be written to the database {}.",
        "Mend its permissions and those of its folder, or name another: database.url.",
    ),
    "SQLITE_CANTOPEN": (
        "The database {} cannot be opened.",
        "Mend its permissions and those of its folder, or name another: database.url.",
    ),
}
_FULL: Final = "Make room and try again: what was stored before is untouched."
_PG_FULL: Final = "53100"
_PG_REFUSED: Final = ("28", "3D")  # who asks is not let in; no such database
_PG_FORBIDS: Final = "42501"
_PG_AWAY: Final = ("08", "57P", "53300")  # the connection broke; it stops or starts; all are taken


@contextlib.contextmanager
def mapped(address: Address) -> Iterator[None]:
    """Raise what goes wrong inside as an error of ours."""
    try:
        yield
    except NoiboError:
        raise
    except DBAPIError as exc:
        raise _known(exc.orig, address) from exc
    except SQLAlchemyError as exc:
        raise _unknown(address, type(exc).__name__) from exc
    except OSError as exc:
        raise _unreachable(exc, address) from exc


def _known(said: BaseException | None, address: Address) -> NoiboError:
    """What a driver's error means, by its code and never by its words."""
    if code := getattr(said, "sqlstate", None):
        return _of_postgresql(str(code), said, address)
    name = str(getattr(said, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):
        return DiskFull(f"The disk of the database {address.shown} is full.", next_step=_FULL)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseError(
            f"The database {address.shown} is held by another program.",
            next_step="Try again; if it stays so, look who has the file open.",
            retry_after_s=_BUSY_AGAIN_S,
        )
    for beginning, (what, then) in _SQLITE.items():
        if name.startswith(beginning):
            return DatabaseError(what.format(address.shown), next_step=then)
    if isinstance(said, OSError):
        return _unreachable(said, address)
    return _unknown(address, name or type(said).__name__)


def _of_postgresql(code: str, said: BaseException | None, address: Address) -> NoiboError:
    if code == _PG_FULL:
        return DiskFull(f"The disk of the database {address.shown} is full.", next_step=_FULL)
    if code.startswith(_PG_REFUSED):
        return DatabaseError(
            f"The database {address.shown} does not let noibo in (SQLSTATE {code}).",
            next_step="Check user, password and name in database.url.",
        )
    if code == _PG_FORBIDS:
        return DatabaseError(
            f"The database {address.shown} does not let noibo make its tables or use them.",
            next_step="Let its user: GRANT ALL ON SCHEMA public TO the user of database.url.",
        )
    if code.startswith(_PG_AWAY):
        return _away(address)
    return _unknown(address, f"SQLSTATE {code}, {type(said).__name__}")


def _unreachable(exc: OSError, address: Address) -> NoiboError:
    if exc.errno == errno.ENOSPC:
        return DiskFull(f"The disk of the database {address.shown} is full.", next_step=_FULL)
    if address.path is not None:
        return DatabaseError(
            f"The database {address.shown} cannot be opened: {exc.strerror or exc}.",
            next_step=_SQLITE["SQLITE_CANTOPEN"][1],
        )
    return _away(address)


def _away(address: Address) -> DatabaseError:
    return DatabaseError(
        f"The database {address.shown} does not answer.",
        next_step="Start it, or check database.url.",
        retry_after_s=_BUSY_AGAIN_S,
    )


def _unknown(address: Address, what: str) -> DatabaseError:
    return DatabaseError(
        f"The database {address.shown} failed ({what}).", next_step="Look into noibo's log."
    )
