"""How much context a model has here, and how much it can have."""

from __future__ import annotations

from noibo.engines.engine import Model
from noibo.engines.memory.size import Use
from noibo.gateway.services import Services


def usual(services: Services, model: Model) -> int:
    """Tokens that its worker has, or will have where nobody asks for more."""
    supervisor = services.supervisor
    if worker := supervisor.worker(model.seat):
        return worker.launch.size.context
    sizes = supervisor.engine(model.engine).sizes(model, services.settings.engine, Use(), 0)
    return _fixed(services, model) or sizes[0].context


def most(services: Services, model: Model, wanted: int) -> int:
    """Tokens that it can have: as it is set, else as it was trained for."""
    return _fixed(services, model) or model.trained_context or wanted


def _fixed(services: Services, model: Model) -> int:
    own = services.settings.models.get(model.name)
    return (own.ctx_size if own else 0) or services.settings.engine.ctx_size
