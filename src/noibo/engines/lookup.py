"""From a name that a caller typed to a model that an engine can run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from noibo.engines.engine import Model
from noibo.modelstore.gguf import read_header
from noibo.modelstore.model_info import describe
from noibo.modelstore.store import Store

ECHO = Model("echo", "echo")
FRESH_FOR_S = 1.0


@dataclass(slots=True)
class _Seen:
    model: Model
    until: float


class ModelLookup:
    """Finds models in the store. What was found is believed for a second: no disk per request."""

    def __init__(self, store: Store, default_model: str, default_engine: str) -> None:
        self._store = store
        self._default_model = default_model
        self._default_engine = default_engine
        self._seen: dict[str, _Seen] = {}
        self._headers: dict[tuple[Path, int, int], tuple[int, int]] = {}

    async def resolve(self, name: str) -> Model:
        """The model of that name; the default where there is no name. Raises `ModelNotFound`."""
        name = name or self._default_model
        seen = self._seen.get(name)
        if seen is not None and time.monotonic() < seen.until:
            return seen.model
        model = await asyncio.to_thread(self._find, name)
        self._seen[name] = _Seen(model, time.monotonic() + FRESH_FOR_S)
        return model

    def _find(self, name: str) -> Model:
        if name == ECHO.name:
            return ECHO
        stored = self._store.get(name)
        parameters, context = self._sizes(stored.path)
        return Model(
            name=str(stored.reference),
            engine=self._default_engine,
            path=stored.path,
            parameters=parameters,
            trained_context=context,
        )

    def _sizes(self, path: Path) -> tuple[int, int]:
        """Parameters and trained context, read from the header once for each state of the file."""
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        if key not in self._headers:
            info = describe(read_header(path))
            self._headers[key] = (info.parameters, info.context_length or 0)
        return self._headers[key]

    async def list(self) -> list[tuple[str, float]]:
        """Names and times of the models in the store."""
        found = await asyncio.to_thread(self._store.list)
        return [(str(stored.reference), stored.added_at) for stored in found]
