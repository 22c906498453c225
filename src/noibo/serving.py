"""Runs the server: the services wired for one process, and uvicorn around the application.

Stands beside `assembly`. A server writes `server.json` into NOIBO_HOME while it runs, so that
clients find it on whatever port it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import secrets
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import uvicorn

import noibo
from noibo.access.audit import AuditLog
from noibo.assembly import (
    may_have_stored,
    open_border,
    open_database,
    open_door,
    open_lookup,
    open_management,
    open_office,
    open_records,
    open_seal,
    open_stored,
    open_supervisor,
    usable_gpus,
)
from noibo.connections.census import Census
from noibo.connections.sockets import most_connections, prepare
from noibo.egress import is_loopback
from noibo.engines.contexts import Contexts
from noibo.engines.remote.keys import require_set
from noibo.engines.upstream import new_session
from noibo.errors import DiskFull, ServerBusy, SettingsError
from noibo.gateway.access.models import allowed, visible
from noibo.gateway.app import create_app
from noibo.gateway.pipeline import Pipeline
from noibo.gateway.services import Services
from noibo.gateway.stored import Opening
from noibo.gateway.watching.collector import open_spans
from noibo.gateway.window.policy import Policies
from noibo.modelstore.management import surroundings
from noibo.routing.virtual import virtual_models
from noibo.settings import Settings, bracketed
from noibo.wire.management import STATE_FILE

if TYPE_CHECKING:
    from noibo.access.records import AccessRecords
    from noibo.database.database import Database
    from noibo.gateway.leaving.border import Border
    from noibo.gateway.watching.spans import Spans

log = logging.getLogger(__name__)

_FOR_ALL: Final = "`noibo ps` shows a noibo that runs; or choose another port by --port."
_FOR_OLLAMA: Final = (
    "Stop the Ollama that runs there (`systemctl stop ollama`, or quit its app), or set "
    "server.ollama_port to another port, or to 0."
)


def serve(settings: Settings, preload: str | None, on_ready: Callable[[str], None]) -> None:
    """Serve until told to stop. `on_ready` is given the address when requests are taken."""
    open_supervisor(settings)  # settings that cannot be are said before anything runs
    require_set(settings.models)
    _require_key(settings)
    _require_certificate(settings)
    open_seal(settings)  # a key that is not there is said before anything runs
    threading.Thread(target=_tell_of_an_idle_gpu, args=(settings,), daemon=True).start()
    spans = open_spans(settings.telemetry.otlp_endpoint, open_door(settings))
    AuditLog(settings.home).serving(settings)
    listeners = [_listen(settings, settings.server.port, _FOR_ALL)]
    if settings.server.ollama_port:
        listeners += [_listen(settings, settings.server.ollama_port, _FOR_OLLAMA)]
    host, port = listeners[0].getsockname()[:2]
    url, token = _url(settings, host, port), secrets.token_hex(32)
    server: _Server
    _take_all_descriptors()
    census = Census(most_connections(settings.server.connections), settings.server.stall_s)

    @contextlib.asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        def stop() -> None:
            server.should_exit = True

        async with open_services(settings, stop, token, spans) as wired:
            wired.preload = preload
            server.before_stop = wired.management.stop
            yield wired

    server = _Server(
        uvicorn.Config(
            create_app(services),
            log_config=None,  # it speaks as the rest does: see logs.py
            log_level="warning",
            access_log=False,
            http=cast("type[asyncio.Protocol]", census.connection),  # it is called to make one
            ws="none",
            proxy_headers=False,  # who says that it forwards is not believed; it needs a key
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace_s)),
            ssl_certfile=settings.server.tls_cert or None,
            ssl_keyfile=settings.server.tls_key or None,
        ),
        lambda: on_ready(url),
    )
    with _state_file(settings, url, token):  # the socket listens: whoever comes early waits
        server.run(sockets=listeners)


@contextlib.asynccontextmanager
async def open_services(
    settings: Settings,
    stop: Callable[[], None],
    home_token: str = "",
    spans: Spans | None = None,
) -> AsyncIterator[Services]:
    """The services of one server, wired; the workers stop when this is left."""
    lookup = open_lookup(settings)
    supervisor = open_supervisor(settings)

    def asked_context(seat: str) -> int:
        worker = supervisor.worker(seat)
        return worker.model.context if worker else 0

    contexts = Contexts(lookup.resolve, asked_context)
    resolve = allowed(contexts.resolve, settings.aliases, virtual_models(settings))
    management = open_management(settings, lookup.forget)
    stored = Opening(lambda: open_stored(settings), lambda: may_have_stored(settings))

    async def records() -> AccessRecords:
        return (await stored()).access

    async def database() -> Database:
        return (await stored()).database

    office, border = open_office(records, settings), open_border(settings, database)
    accounts = border.accounts
    _tell_of_idle_budgets(settings)
    beside = [asyncio.create_task(one.run()) for one in (accounts.ledger, accounts.budgets)]
    async with new_session() as session, new_session(keeps=True) as foreign:
        services = None
        try:
            services = Services(
                settings=settings,
                office=office,
                supervisor=supervisor,
                pipeline=Pipeline(
                    resolve, supervisor, session, foreign, Policies(settings), border
                ),
                resolve=resolve,
                list_models=visible(lookup.list, resolve),
                management=management,
                contexts=contexts,
                stored=stored,
                stop_server=stop,
                home_token=home_token,
                spans=spans,
                border=border,
            )
            yield services
        finally:
            if services is not None:
                await services.backgrounds.close()
            await office.ring.close()
            await asyncio.gather(supervisor.close(), asyncio.to_thread(management.close))
            await _close_accounts(border, beside)
            await stored.close()
            if spans is not None:
                await asyncio.to_thread(spans.close)


async def _close_accounts(border: Border, beside: list[asyncio.Task[None]]) -> None:
    """All calls that have ended are written down."""
    await border.close()
    await border.accounts.budgets.close()
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    await border.accounts.ledger.close()


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready and ends quietly when it is told to stop."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.before_stop: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.freeze()  # what is here stays: not to be looked through again and again
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.before_stop()  # those who watch a pull would keep their connections till its end
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again at the end: a server that stopped as asked exits 0.
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _tell_of_an_idle_gpu(settings: Settings) -> None:
    """Log a GPU that the installed engine cannot use. Asked beside everything else: nothing waits
    for it, and where no file hints at a GPU nothing is asked."""
    from noibo.hardware.gpus import gpus, suspected
    from noibo.hardware.offload import advice
    from noibo.hardware.probe import memory_of
    from noibo.hardware.system import System

    system = System()
    if suspected(system) and (found := gpus(system, memory_of(system)[0])[0]):
        usable = usable_gpus(settings)
        if not usable.problem and (idle := advice(tuple(found), usable)):
            log.warning("%s", idle)


def _tell_of_idle_budgets(settings: Settings) -> None:
    """Log a budget that holds nothing back, as its model is called otherwise."""
    from noibo.usage.rules import of_no_model, rules_of

    for whose in of_no_model(rules_of(settings.budgets), settings.models):
        log.warning('[budgets."%s"]: no model of noibo.toml is called that', whose)


def _require_key(settings: Settings) -> None:
    """Nobody from elsewhere is let in without a key, so without one there is nothing to serve."""
    host = settings.server.host
    if is_loopback(f"//{bracketed(host)}"):
        return
    if not may_have_stored(settings) or not asyncio.run(_somebody_may_come(settings)):
        raise SettingsError(
            f"noibo does not listen on {host} before somebody has a key: without one, nobody from "
            "elsewhere is let in.",
            next_step="Make one: `noibo key create NAME`.",
        )


async def _somebody_may_come(settings: Settings) -> bool:
    database = open_database(settings)
    records = open_records(database)

    async def opened() -> AccessRecords:
        return records

    office = open_office(opened, settings)
    try:
        return await office.somebody_may_come()
    finally:
        await office.ring.close()
        await database.close()


def _require_certificate(settings: Settings) -> None:
    """Raise `SettingsError` for files that do not do for TLS."""
    certificate, key = settings.server.tls_cert, settings.server.tls_key
    if key and not certificate:
        raise SettingsError(
            "server.tls_key is set, and server.tls_cert is not.", next_step="Set both, or none."
        )
    if not certificate:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            certificate, key or None, password=lambda: ""
        )
    except (OSError, ValueError) as exc:
        raise SettingsError(
            f"server.tls_cert and server.tls_key cannot be used: {exc}.",
            next_step="Name a certificate and its private key, as PEM, without a password.",
        ) from exc


def _url(settings: Settings, host: str, port: int) -> str:
    """How a client on this machine reaches it."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - the other way round
    return settings.url_at(near, port)


def _listen(settings: Settings, port: int, another: str) -> socket.socket:
    """A socket that listens; `another` says what to do where the port is taken."""
    host = settings.server.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        prepare(listener, settings.server.stall_s)
        listener.listen(2048)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise ServerBusy(
                f"Port {port} on {host} is taken.",
                next_step=another,
            ) from exc
        raise SettingsError(f"noibo cannot listen on {host}:{port}: {exc.strerror}.") from exc
    return listener


def _take_all_descriptors() -> None:
    """Every caller takes two: as many as this process may have, not the few it starts with."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _state_file(settings: Settings, url: str, token: str) -> Iterator[None]:
    path, certificate = settings.home / STATE_FILE, settings.server.tls_cert
    state = {
        "url": url,
        "token": token,
        "certificate": certificate and str(Path(certificate).resolve()),
        "pid": os.getpid(),
        "started_at": time.time(),
        "noibo": noibo.__version__,
        "surroundings": surroundings.digest(settings),
    }
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        fresh.touch(0o600)
        fresh.write_text(json.dumps(state))
        fresh.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            fresh.unlink()
        kind = DiskFull if exc.errno == errno.ENOSPC else SettingsError
        raise kind(
            f"Nothing can be written to {settings.home}: {exc.strerror}.",
            next_step="Make room or mend its permissions, or name another folder: NOIBO_HOME.",
        ) from exc
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text())["pid"] == os.getpid():
                path.unlink()
