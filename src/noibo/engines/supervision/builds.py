"""Builds of engines that cannot run on this processor: remembered, and not tried for ever.

A build that uses an instruction which the processor does not have (or only claims to have) dies by
SIGILL. When it has done so twice in a row, and has not answered before, it is disqualified until
another build is installed. (A hostile model can make a good build die of it, too.)
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from noibo.engines.engine import Engine
from noibo.errors import EngineUnusable, StoreError
from noibo.modelstore.disk import write_atomically


class Builds:
    """Disqualified builds, in one JSON file of the home: a build's name, what was seen of it."""

    def __init__(self, home: Path) -> None:
        self._path = home / "builds.json"
        self._proven: set[str] = set()

    def require_sound(self, engine: Engine) -> None:
        """Raises `EngineUnusable` where the installed build was disqualified."""
        seen = self._read().get(_name(engine))
        if seen is not None:
            raise self._error(engine, seen)

    def disqualified(self, name: str) -> bool:
        """Whether a build of that name, with its engine's before it, was."""
        return name in self._read()

    def disqualify(self, engine: Engine, seen: str) -> EngineUnusable | None:
        """Never start this build again; the error that says so. None: it has answered here, so
        that the model is to blame."""
        if _name(engine) in self._proven:
            return None
        rows = {**self._read(), _name(engine): seen}
        self._write(rows)
        return self._error(engine, seen)

    def trust(self, engine: Engine) -> None:
        """It has been seen to answer here. Reads files: not for the event loop."""
        name = _name(engine)
        self._proven.add(name)
        rows = self._read()
        if rows.pop(name, None) is not None:
            self._write(rows)

    def _error(self, engine: Engine, seen: str) -> EngineUnusable:
        return EngineUnusable(
            f"{engine.available()} cannot run on this processor: it was ended by an illegal "
            f"instruction, twice. {seen}",
            next_step=engine.remedy,
        )

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, ValueError, RecursionError):
            return {}

    def _write(self, rows: dict[str, str]) -> None:
        with contextlib.suppress(StoreError):  # it is found out again
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(rows)))


def _name(engine: Engine) -> str:
    return f"{engine.name} {engine.build()}"
