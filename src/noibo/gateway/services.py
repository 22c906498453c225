"""What the routes are given: the services of one running server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fastapi import Request
from starlette.types import Scope

from noibo.access.office import Office
from noibo.engines.contexts import Contexts
from noibo.engines.engine import Model
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.worker import State, Worker
from noibo.gateway.batches.runner import BatchRunner
from noibo.gateway.gate import Gate
from noibo.gateway.intake import BODIES, Intake
from noibo.gateway.pipeline import Pipeline
from noibo.gateway.responses.background import Backgrounds
from noibo.gateway.routed.virtual import Virtual
from noibo.gateway.stored import Opening
from noibo.gateway.watching.ended import told_to
from noibo.gateway.watching.kept import kept_by
from noibo.gateway.watching.metrics import Metrics
from noibo.gateway.watching.record import Record
from noibo.modelstore.management.management import Management
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.gateway.leaving.border import Border
    from noibo.gateway.routed.choosing import Chooser
    from noibo.gateway.watching.spans import Spans


_IN_SCOPE: Final = "noibo.services"


@dataclass(slots=True)
class Services:
    """Wired by `assembly`, read by the routes."""

    settings: Settings
    supervisor: Supervisor
    pipeline: Pipeline
    resolve: Callable[[str], Awaitable[Model]]
    list_models: Callable[[], Awaitable[list[tuple[str, float]]]]
    management: Management
    contexts: Contexts
    stored: Opening
    office: Office
    stop_server: Callable[[], None]
    border: Border
    home_token: str  # what the commands of who runs this server send; it stands in server.json
    spans: Spans | None = None
    metrics: Metrics = field(default_factory=Metrics)
    makes: Gate = field(default_factory=lambda: Gate(8, "models are being made"))
    sends: Gate = field(default_factory=lambda: Gate(32, "files are being sent"))
    backgrounds: Backgrounds = field(default_factory=Backgrounds)
    batches: BatchRunner = field(init=False)
    intake: Intake = field(init=False)
    started_at: float = field(default_factory=time.time)
    preload: str | None = None
    preload_error: str = ""
    preloaded: bool = False
    watched: Callable[[Record], None] = field(init=False)
    kept: Callable[[Record], None] = field(init=False)
    virtual: Virtual = field(init=False)
    chooser: Chooser = field(init=False)

    def __post_init__(self) -> None:
        self.watched = told_to(self.metrics, self.spans)
        self.kept = kept_by(self.border.accounts)
        self.virtual = Virtual.of(self.settings)
        self.chooser = new_chooser(self)
        self.intake = Intake(BODIES * self.settings.server.max_body_bytes)
        self.batches = BatchRunner(self.stored, self.office.ring)

    async def busy_slots(self, worker: Worker) -> int | None:
        """How many answers the engine itself says it works on."""
        if worker.state is not State.READY:
            return None
        return await self.pipeline.upstream(worker).busy_slots()


def new_chooser(services: Services) -> Chooser:
    """It asks these services, which have it."""
    from noibo.gateway.routed.choosing import Chooser

    return Chooser(services, services.virtual)


def services_of(request: Request) -> Services:
    """The services of the app that this request came to."""
    return services_in(request.scope)


def services_in(scope: Scope) -> Services:
    """The same, before there is a request."""
    services = scope.get(_IN_SCOPE)
    if services is None:
        services = scope[_IN_SCOPE] = scope["app"].state.services
    assert isinstance(services, Services)  # noqa: S101 - put there by create_app
    return services
