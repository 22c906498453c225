"""Composition root: settings in, wired services out. Nothing is built anywhere else.

What only a server needs is imported when it is asked for: commands on the store start at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from noibo.egress import Door
from noibo.modelstore.management.discovery import Discovery
from noibo.modelstore.management.management import Management
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.store import Store
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.engines.engine import Engine
    from noibo.engines.lookup import ModelLookup
    from noibo.engines.supervision.supervisor import Supervisor


def open_door(settings: Settings) -> Door:
    """The one door outward."""
    return Door(offline=settings.offline, record=settings.home / "egress.jsonl")


def open_store(settings: Settings) -> Store:
    """The models on this machine."""
    return Store(settings.models_folder, allowed_licences=settings.licences.allowed)


def open_puller(settings: Settings) -> Puller:
    """Fetches models into the store."""
    store = open_store(settings)
    return Puller(store, Sources(open_door(settings), settings.fetch, store.partial))


def open_management(settings: Settings, changed: Callable[[], None] = lambda: None) -> Management:
    """What commands and routes do to the store; `changed` is called after a change."""
    discovery = Discovery(open_door(settings), settings.fetch)
    return Management(open_store(settings), open_puller(settings), discovery, changed)


def open_lookup(settings: Settings) -> ModelLookup:
    """Finds the model that a request names."""
    from noibo.engines.lookup import ModelLookup

    return ModelLookup(
        open_store(settings), settings.default_model, settings.engine.default, settings.aliases
    )


def open_engines() -> dict[str, Engine]:
    """Every engine there is, by name."""
    from noibo.engines.echo import Echo
    from noibo.engines.llama_cpp import LlamaCpp

    engines: list[Engine] = [LlamaCpp(), Echo()]
    return {engine.name: engine for engine in engines}


def open_supervisor(settings: Settings) -> Supervisor:
    """Runs the workers."""
    from noibo.engines.memory.book import Book
    from noibo.engines.supervision.supervisor import Supervisor
    from noibo.engines.tuning import Tuning

    tuning = Tuning(settings.home / "tuning.json")
    book = Book(settings.home / "memory.json")
    return Supervisor(open_engines(), settings, tuning, book)
