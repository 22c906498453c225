"""Composition root: settings in, wired services out. Nothing is built anywhere else.

What only a server needs is imported when it is asked for: commands on the store start at once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

from noibo.egress import Destination, Door, Purpose
from noibo.modelstore.management.discovery import Discovery
from noibo.modelstore.management.management import Management
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.store import Store
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.access.office import Office
    from noibo.access.records import AccessRecords
    from noibo.database.database import Database
    from noibo.database.seal import Seal
    from noibo.engines.engine import Engine
    from noibo.engines.environments.choice import Choice
    from noibo.engines.fit.this_machine import Found
    from noibo.engines.lookup import ModelLookup
    from noibo.engines.supervision.supervisor import Supervisor
    from noibo.gateway.files.contents import Contents
    from noibo.gateway.leaving.border import Border
    from noibo.gateway.stored import Stored
    from noibo.hardware.machine import Hardware
    from noibo.hardware.offload import Usable
    from noibo.holdings.steward import Steward
    from noibo.usage.budgets import Budgets
    from noibo.usage.ledger import Ledger
    from noibo.usage.local_cost import LocalCost
    from noibo.usage.prices import PriceTable


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
    from noibo.gateway.routed.virtual import stand_ins

    return ModelLookup(
        open_store(settings),
        settings.default_model,
        settings.engine.default,
        settings.aliases,
        settings.models,
        settings.uses,
        stand_ins(settings),
    )


def open_engines(settings: Settings) -> dict[str, Engine]:
    """Every engine there is, by name. Raises `SettingsError` for a model that cannot be reached."""
    from noibo.engines.echo import Echo
    from noibo.engines.environments.environment import Environments
    from noibo.engines.hosted.adapter import Transformers
    from noibo.engines.hosted.openvino_adapter import OpenVino
    from noibo.engines.llama_cpp.adapter import LlamaCpp
    from noibo.engines.llama_cpp.devices import EngineDevices
    from noibo.engines.llama_server.adapter import LlamaServer
    from noibo.engines.ollama.adapter import Ollama
    from noibo.engines.remote.adapter import Remote
    from noibo.engines.remote.breaker import Breakers
    from noibo.engines.vllm.adapter import Vllm

    breakers, models = Breakers(), settings.models
    environments = Environments(settings.home)
    devices = EngineDevices(ask=lambda: usable_gpus(settings))
    engines: list[Engine] = [
        LlamaCpp(devices, open_build(settings)),
        LlamaServer(settings.engine.llama_server),
        Ollama(models, breakers),
        Remote(models, breakers),
        OpenVino(),
        Transformers(lambda: environments.get("transformers")),
        Vllm(lambda: environments.get("vllm")),
        Echo(),
    ]
    return {engine.name: engine for engine in engines}


def open_build(settings: Settings) -> Choice:
    """Which build of llama.cpp is used."""
    from noibo.engines.environments.choice import Choice
    from noibo.engines.environments.environment import Environments
    from noibo.engines.supervision.builds import Builds

    return Choice(Environments(settings.home), Builds(settings.home))


def usable_gpus(settings: Settings) -> Usable:
    """The GPUs that the build of llama.cpp which is used can use. It takes a second to say so."""
    from noibo.hardware.offload import ask_engine

    found = open_build(settings)()
    return ask_engine(str(found.interpreter) if found else "")


def look_at_machine(settings: Settings, tell: Callable[[str], None]) -> Found:
    """This machine as models find it; measured where it was not lately. `tell` is told of it."""
    from noibo.engines.fit.this_machine import this_machine

    return this_machine(
        settings.home,
        settings.models_folder,
        _used_build(settings),
        tell=tell,
        ask=lambda: usable_gpus(settings),
    )


def keep_measured(settings: Settings, hardware: Hardware, usable: Usable, *, busy: bool) -> None:
    """Let what was measured now count for what is predicted from now on."""
    from noibo.engines.fit.this_machine import Found, keep

    keep(settings.home, Found(time.time(), _used_build(settings), hardware, usable, busy))


def _used_build(settings: Settings) -> str:
    from noibo.errors import EngineMissing

    try:
        return open_engines(settings)["llama_cpp"].build()
    except (EngineMissing, PackageNotFoundError):
        return ""


def open_supervisor(settings: Settings) -> Supervisor:
    """Runs the workers."""
    from noibo.engines.memory.book import Book
    from noibo.engines.supervision.supervisor import Supervisor
    from noibo.engines.tuning import Tuning

    tuning = Tuning(settings.home / "tuning.json")
    book = Book(settings.home / "memory.json")
    return Supervisor(open_engines(settings), settings, tuning, book)


def open_database(settings: Settings) -> Database:
    """The database, not reached for yet. Raises `SettingsError` for an address of none."""
    from noibo.database.address import Address
    from noibo.database.database import open_database

    address = Address.read(settings.database.url, settings.home)

    @functools.cache
    def permit() -> None:
        """A database on another machine is reached through the door, as everything is."""
        if address.leaves_the_machine:
            there = Destination("postgresql", address.host, address.port)
            passed = open_door(settings).open(Purpose.DATABASE, [there])
            passed.door.note(passed.purpose, there, "CONNECT")

    return open_database(address, permit, open_seal(settings))


def open_seal(settings: Settings) -> Seal:
    """What seals the texts and files that are stored. Raises `SettingsError`."""
    from noibo.database.seal_key import seal_of

    return seal_of(settings.encryption.key, settings.encryption.former_keys)


def open_stored(settings: Settings) -> Stored:
    """What a server keeps: responses, files, batches."""
    from noibo.access.records import AccessRecords
    from noibo.gateway.batches.records import BatchRecords
    from noibo.gateway.files.files import Files
    from noibo.gateway.responses.records import ResponseRecords
    from noibo.gateway.stored import Stored

    database = open_database(settings)
    folder, largest = settings.home / "files", settings.server.max_file_bytes
    files = Files(database, folder, largest, open_seal(settings))
    return Stored(
        database,
        ResponseRecords(database),
        files,
        BatchRecords(database),
        AccessRecords(database),
    )


def open_steward(settings: Settings, database: Database) -> Steward:
    """Finds, exports and erases what is kept of persons."""
    from noibo.holdings.steward import Steward

    return Steward(database, open_contents(settings), settings.home, settings.models_folder)


def open_contents(settings: Settings) -> Contents:
    """What is in uploaded files."""
    from noibo.gateway.files.contents import Contents

    return Contents(settings.home / "files", open_seal(settings))


def open_records(database: Database) -> AccessRecords:
    """Keys, users and sessions in a database."""
    from noibo.access.records import AccessRecords

    return AccessRecords(database)


def open_office(open_records: Callable[[], Awaitable[AccessRecords]], settings: Settings) -> Office:
    """Gives out keys, keeps users, and knows who may come in."""
    from noibo.access.audit import AuditLog
    from noibo.access.office import Office

    return Office(open_records, AuditLog(settings.home))


def may_have_stored(settings: Settings) -> bool:
    """False where there was never a database: nothing waits in it to be gone on with."""
    from noibo.database.address import FILE_NAME

    return bool(settings.database.url) or (settings.home / FILE_NAME).exists()


def open_prices(settings: Settings) -> PriceTable:
    """What models elsewhere cost, as it holds here. Raises `SettingsError`."""
    from noibo.usage.prices import price_table

    return price_table(settings.home, {name: own.said for name, own in settings.prices.items()})


def open_local_cost(settings: Settings) -> LocalCost:
    """What an answer of this machine costs, as far as that is set or was measured."""
    from noibo.usage.power import local_cost

    return local_cost(settings.usage, settings.home)


def open_border(settings: Settings, open_database: Callable[[], Awaitable[Database]]) -> Border:
    """Where it is decided what may leave this machine for an answer. Raises `SettingsError`."""
    from noibo.gateway.leaving.accounts import Accounts
    from noibo.gateway.leaving.border import Border
    from noibo.gateway.leaving.detection import Detection
    from noibo.privacy.policy import Policy

    ledger, budgets = open_money(settings, open_database)
    accounts = Accounts(ledger, budgets, lambda: open_prices(settings), open_local_cost(settings))
    detection = Detection(Policy.of(settings.privacy))
    return Border(settings, open_door(settings), detection, accounts)


def open_money(
    settings: Settings, open_database: Callable[[], Awaitable[Database]]
) -> tuple[Ledger, Budgets]:
    """The ledger of all calls, and the budgets of those that cost money. Nothing is reached for
    before it is needed."""
    from noibo.usage.budgets import Budgets
    from noibo.usage.ledger import FOLDER, Ledger
    from noibo.usage.periods import Calendar, zone
    from noibo.usage.rules import rules_of

    folder, days = settings.home / FOLDER, settings.usage.keep_days
    ledger = Ledger(open_database, folder, keep_days=days)
    rules = rules_of(settings.budgets, settings.routing.max_api_calls_per_hour)
    calendar = Calendar(zone(settings.usage.time_zone))
    return ledger, Budgets(open_database, rules, ledger.put_aside, calendar=calendar)
