"""An installation from beginning to end: in a folder that nobody uses, which becomes the engine's
when it has answered, and is gone otherwise: also after Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from noibo.egress import Destination, Door, Pass, Purpose
from noibo.engines.environments.beside import without_silent
from noibo.engines.environments.disk import disk_faults, require_room
from noibo.engines.environments.environment import PYTHON, Environment, Environments
from noibo.engines.environments.pip import Pip, Tell
from noibo.engines.environments.pip_words import Step
from noibo.engines.environments.recipe import Recipe
from noibo.engines.environments.trial import Answered
from noibo.modelstore.index.pip_settings import PipSettings

Trial = Callable[[Path], Answered]


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs by recipes. `pip`: how the user has set it, and what it asks where a recipe names no
    index of its own; `trials`: of each engine, what has it answer."""

    environments: Environments
    door: Door
    pip: PipSettings
    trials: Mapping[str, Trial]

    def install(
        self, recipe: Recipe, tell: Tell, vacate: Callable[[], None] = lambda: None
    ) -> Environment:
        """`vacate` is called when the new one has answered, before it takes the place of a former:
        to end what runs in that. Raises `EgressRefused`, `DiskFull`, `StoreError`, `FetchError`,
        `DigestMismatch`, `EngineUnusable`, and `EngineError` where another process installs it;
        then all is as it was before."""
        folder = self.environments.folder
        with disk_faults(folder, recipe.bytes):
            passed = self._leave(recipe)
            folder.mkdir(parents=True, exist_ok=True)
            require_room(folder, recipe.bytes)
            recipe, silent = without_silent(recipe, self.door, self.pip)
            if silent:
                tell(Step("skip", silent))
            with self.environments.making(recipe.name) as room:
                made = room / "environment"
                record = self._make(recipe, made, _Noted(passed, tell))
                vacate()
                return self.environments.keep(made, record)

    def _make(self, recipe: Recipe, made: Path, tell: Tell) -> Environment:
        """Fill it, and have it answer; what is known of it then."""
        version = self._fill(recipe, Pip(made, self.pip, recipe.index), tell)
        tell(Step("try", f"{recipe.package} {version}"))
        answered = self.trials[recipe.engine](made)
        return Environment(
            recipe.name,
            recipe.engine,
            recipe.package,
            version,
            recipe.build,
            PYTHON,
            time.time(),
            answered.devices,
            answered.rate,
        )

    def _leave(self, recipe: Recipe) -> Pass:
        """Ask the door for all that pip is told to ask; each is written down."""
        own = [*self.pip.indexes, *self.pip.find_links, *_urls(recipe.options)]
        named = [recipe.index] if recipe.index else own
        places = [url for url in named if url.startswith(("http://", "https://"))]
        passed = self.door.open(Purpose.ENGINE_PACKAGES, map(Destination.of, places))
        for url in places:
            passed.check(url)
        return passed

    def _fill(self, recipe: Recipe, pip: Pip, tell: Tell) -> str:
        """The environment with its packages; the version of the one it is made for."""
        tell(Step("make", "an environment"))
        pip.make()
        pip.install(recipe.packages, recipe.options, recipe.variables, tell)
        if recipe.without and "+cpu" in pip.version_of("torch"):
            unwanted = [name for name in recipe.without if pip.version_of(name)]
            if unwanted:
                tell(Step("install", f"without {', '.join(unwanted)}"))
                pip.uninstall(unwanted)
        return pip.version_of(recipe.package)


def _urls(options: Sequence[str]) -> list[str]:
    return [one for one in options if one.startswith(("http://", "https://"))]


class _Noted:
    """Passes steps on. Where an index sends pip to another host for a file, that is written down:
    pip has gone there already, as its user's pip always would."""

    def __init__(self, passed: Pass, tell: Tell) -> None:
        self._passed, self._tell = passed, tell
        self._seen: set[str] = set()

    def __call__(self, step: Step) -> None:
        if step.url and step.url not in self._seen:
            self._seen.add(step.url)
            self._passed.admit(step.url)
            self._passed.check(step.url)
        self._tell(step)
