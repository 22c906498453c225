"""Who did what that only those who run this server may do: a ledger of its own, `audit.jsonl`.

An act is written down before it is done, so that none is done unseen, and once more when it fails.
What it was about is named; no password, no key's secret and no text that anybody stored is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from noibo.errors import LedgerError, NoiboError
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.ledger.ledger import Ledger
    from noibo.ledger.row import Fields

log = logging.getLogger(__name__)

FILE_NAME: Final = "audit.jsonl"
ACT: Final = "act"
FAILED: Final = "failed"
DONE: Final = "done"
# Who is let in and asks for what is done now: `key:ID` or `user:NAME`; empty on this machine.
ACTING: Final[ContextVar[str]] = ContextVar("noibo.acting", default="")
_LONGEST: Final = 2000

Details = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Act:
    """One act as the log has it. `ended`: how, where that was written down too."""

    number: int
    time: float
    who: str
    what: str
    about: str
    details: Mapping[str, Any]
    ended: str = ""


class AuditLog:
    """The log of one node."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME
        self._ledger: Ledger | None = None

    @contextlib.asynccontextmanager
    async def act(
        self, what: str, about: str, details: Details | None = None
    ) -> AsyncIterator[int]:
        """An act, from before it is done to its end; its number. Raises `LedgerError` where it
        cannot be written down: then it is not done."""
        number = await self.begin(what, about, details)
        try:
            yield number
        except BaseException as exc:
            code = exc.code if isinstance(exc, NoiboError) else type(exc).__name__
            await self.end(number, FAILED, {"why": code})
            raise

    async def begin(self, what: str, about: str, details: Details | None = None) -> int:
        """Write down that something is going to be done. Raises `LedgerError`."""
        row: Fields = {
            "kind": ACT,
            "time": round(time.time(), 3),
            "who": _word(ACTING.get() or _somebody_here()),
            "what": _word(what),
            "about": _word(about),
            **{k: _word(v) if isinstance(v, str) else v for k, v in (details or {}).items()},
        }
        return await asyncio.to_thread(self._opened().add, row)

    def serving(self, settings: Settings) -> None:
        """Write down that a server starts, and by which policy; who changed that changed a file.
        It starts all the same where that cannot be."""
        policy = msgspec.json.encode(settings.privacy)
        row: Fields = {
            "kind": ACT,
            "time": round(time.time(), 3),
            "who": _word(_somebody_here()),
            "what": "serve",
            "about": _word(str(settings.file)),
            "offline": settings.offline,
            "host": _word(settings.server.host),
            "policy": _word(policy.decode()),
            "policy_sha256": hashlib.sha256(policy).hexdigest(),
        }
        try:
            self._opened().add(row)
        except LedgerError as error:
            log.error("that the server starts is not in the audit log: %s", error)

    async def end(self, number: int, how: str, details: Details | None = None) -> None:
        """Write down what came of it. It was done or not: nothing is raised."""
        row: Fields = {
            "kind": how,
            "time": round(time.time(), 3),
            "of": number,
            **{k: _word(v) if isinstance(v, str) else v for k, v in (details or {}).items()},
        }
        try:
            await asyncio.to_thread(self._opened().add, row)
        except LedgerError as error:
            log.error("how act %d ended (%s) is not written down: %s", number, how, error)

    def _opened(self) -> Ledger:
        if self._ledger is None:
            from noibo.ledger.ledger import Ledger

            self._ledger = Ledger(self._path)
        return self._ledger


def acts(home: Path) -> Iterator[Act]:
    """All acts, oldest first; those whose end is not written down at the last. Raises
    `LedgerError`."""
    from noibo.ledger.walk import rows

    begun: dict[int, Act] = {}
    ended: list[Act] = []
    for row in rows(home / FILE_NAME):
        said = dict(row.fields)
        kind, _ = said.pop("kind", ""), said.pop("time", None)
        if kind == ACT:
            who, what, about = (str(said.pop(k, "")) for k in ("who", "what", "about"))
            begun[row.number] = Act(row.number, row.time or 0.0, who, what, about, said)
        elif kind in (FAILED, DONE) and (first := begun.pop(row.whole("of"), None)):
            said.pop("of", None)
            details = {**first.details, **said}
            ended.append(
                Act(first.number, first.time, first.who, first.what, first.about, details, kind)
            )
    yield from sorted([*ended, *begun.values()], key=lambda one: one.number)


def _somebody_here() -> str:
    """Who works on this machine, by the system's word."""
    try:
        return f"local:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):
        return "local:"


def _word(said: str) -> str:
    return said[:_LONGEST].encode("utf-8", "backslashreplace").decode()
