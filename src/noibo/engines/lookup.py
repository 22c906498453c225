"""From a name that a caller typed to a model that an engine can run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from noibo.engines.engine import Model
from noibo.engines.hosted.folder import FOLDER, Folder, chat_template
from noibo.engines.model_name import LATEST
from noibo.engines.vllm import lora
from noibo.errors import ModelNotFound, NoiboError
from noibo.model_settings import ELSEWHERE, RUNNING, USE, USES, ModelSettings, UseSettings
from noibo.modelstore.gguf.model_info import ModelInfo, describe
from noibo.modelstore.gguf.reader import read_header
from noibo.modelstore.offer import Defaults
from noibo.modelstore.store import Store

ECHO = Model("echo", "echo")
FRESH_FOR_S = 1.0
CHECKPOINT = "safetensors"


@dataclass(slots=True)
class _Seen:
    model: Model
    until: float


class ModelLookup:
    """Finds models in the store, where the settings do not say that another program has one. What
    was found is believed for a second: no disk per request."""

    def __init__(  # noqa: PLR0913, PLR0917 - the store, and what the settings say of names
        self,
        store: Store,
        default_model: str,
        default_engine: str,
        aliases: Mapping[str, str] | None = None,
        models: Mapping[str, ModelSettings] | None = None,
        uses: Mapping[str, UseSettings] | None = None,
        virtual: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._aliases = aliases or {}
        self._engines = {name: own.engine for name, own in (models or {}).items() if own.engine}
        self._loading = {name: own.loading for name, own in (models or {}).items()}
        self._adapters = lora.adapters(self._loading)
        self._declared = {
            name: Model(name, engine, format=engine)
            for name, engine in self._engines.items()
            if engine in ELSEWHERE
        }
        self._uses = uses or {}
        self._virtual = virtual or {}  # names, each with the model that stands in for it
        # By its name and an engine: a model, and as it is run by that.
        self._apart: dict[tuple[str, str], tuple[Model, Model]] = {}
        self._default_model = default_model
        self._default_engine = default_engine
        self._begun_at = time.time()
        self._seen: dict[str, _Seen] = {}
        self._changes = 0
        self._headers: dict[tuple[Path, int, int], ModelInfo] = {}

    async def resolve(self, name: str) -> Model:
        """The model of that name, alias or use; the default where there is no name. `NAME@ENGINE`
        is run by that engine. Raises `ModelNotFound`, or `NotSupported` for an adapter that its
        engine does not load."""
        name = self._aliases.get(name, name) or self._default_model
        name = self._virtual.get(name.removesuffix(LATEST), name) if self._virtual else name
        if name.startswith(USE):
            return await self._for_use(name.removeprefix(USE))
        plain, _, engine = name.rpartition("@")
        if engine in RUNNING and plain:
            return await self._by_engine(plain, engine)
        if self._adapters and (adapter := self._adapter(name)) is not None:
            return adapter.of(await self._named(adapter.model))
        return self._known(name) or await self._look_up(name)

    async def _named(self, name: str) -> Model:
        """The model of that very name: an alias of the same name may lead to its adapter."""
        return self._known(name) or await self._look_up(name)

    def _known(self, name: str) -> Model | None:
        if (declared := self._declared.get(name.removesuffix(LATEST))) is not None:
            return declared
        seen = self._seen.get(name)
        return seen.model if seen is not None and time.monotonic() < seen.until else None

    async def _look_up(self, name: str) -> Model:
        changes = self._changes
        model = await asyncio.to_thread(self._find, name)
        if changes == self._changes:
            self._seen[name] = _Seen(model, time.monotonic() + FRESH_FOR_S)
        return model

    async def _for_use(self, use: str) -> Model:
        """The model of a use, run by the engine that is set for it."""
        own = self._uses.get(use)
        if own is None:
            raise ModelNotFound(
                f"There is no use {use[:40]!r} here.",
                next_step=f"Here: {', '.join(USE + one for one in self._uses) or 'none'}. "
                + (f'Set [uses.{use}] model = "…" in noibo.toml.' if use in USES else ""),
            )
        if not own.engine:
            return await self.resolve(own.model)
        named = self._aliases.get(own.model, own.model)
        if own.engine in ELSEWHERE and named not in self._declared:
            return self._run_by(Model(named, ""), own.engine)
        adapter = self._adapter(named)
        model = await (self._named(adapter.model) if adapter else self.resolve(own.model))
        model = self._run_by(model, own.engine)
        return adapter.of(model) if adapter else model

    async def _by_engine(self, name: str, engine: str) -> Model:
        """The model of that name, or an adapter of one, run by that engine."""
        named = self._aliases.get(name, name)
        if named.rpartition("@")[2] in RUNNING:  # it may also be an alias that leads to itself
            raise ModelNotFound(
                f"{name[:200]} names an engine already: {named[:200]}.",
                next_step='An engine of a model is set by [models."NAME"] engine = "…".',
            )
        adapter = self._adapter(named)
        model = await (self._named(adapter.model) if adapter else self.resolve(name))
        if model.path is None:
            raise ModelNotFound(
                f"{name[:200]} has no files here that another engine could run.",
                next_step="`noibo list` names the models that have.",
            )
        model = self._run_by(model, engine)
        return adapter.of(model) if adapter else model

    def _adapter(self, name: str) -> lora.Adapter | None:
        return self._adapters.get(name.removesuffix(LATEST))

    def _run_by(self, model: Model, engine: str) -> Model:
        """The model as it is run by that engine: in a worker of its own, where that is not the
        usual one."""
        if engine == model.engine:
            return model
        lora.require_loaded(model, engine)
        made = self._apart.get((model.name, engine))
        if made is None or made[0] != model:
            form = engine if engine in ELSEWHERE else model.format
            run = replace(model, engine=engine, format=form, apart=engine)
            made = self._apart[model.name, engine] = model, run
        return made[1]

    def forget(self) -> None:
        """Look again the next time: the store has changed. From any thread."""
        self._changes += 1
        self._seen.clear()

    def _find(self, name: str) -> Model:
        if name == ECHO.name:
            return ECHO
        stored = self._store.get(name)
        self._store.require_allowed(stored.manifest.licence, str(stored.reference))
        facts, defaults = stored.facts, stored.defaults
        info = self._header(stored.path) if facts.format == "gguf" else None
        folder = _folder(stored.path) if facts.format == CHECKPOINT else None
        return Model(
            name=str(stored.reference),
            engine=self._engine_of(str(stored.reference), facts.format, folder),
            path=stored.path,
            parameters=facts.parameters or 0,
            trained_context=facts.context_length or (info and info.context_length) or 0,
            format=facts.format,
            projector=stored.projector,
            adapters=stored.adapters,
            template=_template(defaults, info) or _template_beside(stored.path, facts.format),
            defaults=defaults,
            info=info,
            bytes=stored.size,
            options=self._loading.get(str(stored.reference), {})
            | ({FOLDER: folder} if folder else {}),
        )

    def _engine_of(self, name: str, form: str, folder: Folder | None) -> str:
        """As set for it; the usual one for GGUF, and one that runs checkpoints for those."""
        if name in self._engines or form != CHECKPOINT:
            return self._engines.get(name, self._default_engine)
        return folder.engine if folder else "transformers"  # which says what is wrong with it

    def _header(self, path: Path) -> ModelInfo | None:
        """What the file's header says, read once for each state of the file; None where it cannot
        be read: why is for the engine to say."""
        try:
            stat = path.stat()
            key = (path, stat.st_mtime_ns, stat.st_size)
            if key not in self._headers:
                self._headers[key] = describe(read_header(path))
        except (OSError, NoiboError):
            return None
        return self._headers[key]

    async def list(self) -> list[tuple[str, float]]:
        """Names and times of the models in the store, of those that are declared in the settings,
        of adapters, and of the aliases and uses that lead to one of them."""
        found = await asyncio.to_thread(self._store.list)
        rows = {str(stored.reference): stored.added_at for stored in found}
        rows |= dict.fromkeys(self._declared, self._begun_at)
        for adapter in dict.fromkeys(self._adapters.values()):
            with contextlib.suppress(NoiboError):
                model = adapter.of(await self._named(adapter.model))
                rows.setdefault(model.called, rows.get(model.name, self._begun_at))
        for alias, name in self._aliases.items():
            with contextlib.suppress(NoiboError):
                found_at = rows.get((await self.resolve(name)).name, self._begun_at)
                rows.setdefault(alias, found_at)
        for virtual, name in self._virtual.items():
            with contextlib.suppress(NoiboError):
                found_at = rows.get((await self.resolve(name)).name, self._begun_at)
                rows.setdefault(virtual, found_at)
        for use in self._uses:
            with contextlib.suppress(NoiboError):
                name = (await self.resolve(USE + use)).name
                rows[USE + use] = rows.get(name, self._begun_at)
        return list(rows.items())


def _folder(path: Path) -> Folder | None:
    """What a checkpoint's folder says; None where it cannot be read: why is for the engine to
    say."""
    with contextlib.suppress(OSError, NoiboError):
        return Folder.of(path)
    return None


def _template_beside(path: Path, form: str) -> str | None:
    """The chat template that lies in a checkpoint's folder."""
    if form != CHECKPOINT:
        return None
    with contextlib.suppress(OSError, ValueError, NoiboError):
        return chat_template(path) or None
    return None


def _template(defaults: Defaults, info: ModelInfo | None) -> str | None:
    """The chat template to use instead of the file's: one that came with the model from where
    it was pulled; one of the catalogue only where the file has none."""
    if defaults.template is None or defaults.source_template is not None:
        return defaults.template
    return None if info and info.chat_template else defaults.template
