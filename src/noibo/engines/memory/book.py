"""What was measured of models on this machine, kept between runs: memory and use."""

from __future__ import annotations

from pathlib import Path

from noibo.engines.memory.size import Need, Use


class Book:
    """Measurements in one JSON file. A damaged file is an empty one: estimates do without."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def expected(self, key: str, engine: str, need: Need) -> int:
        """Bytes a worker will hold when it is ready: as measured for `key`, else the estimate,
        corrected by what the engine's estimates were wrong by here."""
        return need.at_start

    def measured(self, key: str, engine: str, need: Need, held: int) -> None:
        """Keep what a worker that has just become ready really holds."""

    def use(self, model: str) -> Use:
        """How the model has been used."""
        return Use()

    def used(self, model: str, use: Use) -> None:
        """Keep how it has been used, with what was known before."""
