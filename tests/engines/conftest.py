from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Engine
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from tests.engines.supervised import LIMITS, Make


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Supervisor] = []

    def supervisor(
        *,
        engine: Engine | None = None,
        limits: dict[str, Any] | None = None,
        machine: Machine | None = None,
        **sections: Any,
    ) -> Supervisor:
        tree = settings.Settings(
            home=tmp_path, engine=replace(LIMITS, **(limits or {})), **sections
        )
        tuning, book = Tuning(tmp_path / "tuning.json"), Book(tmp_path / "book.json")
        made.append(Supervisor({"echo": engine or Echo()}, tree, tuning, book, machine))
        return made[-1]

    yield supervisor
    for one in made:
        await one.close()
