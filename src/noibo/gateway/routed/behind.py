"""The choice of a request whose work goes on when it is answered: it keeps to the plan by itself
(`gateway.responses.planned`)."""

from __future__ import annotations

from contextvars import ContextVar

from noibo.gateway.routed.choosing import Choice

PLANNED: ContextVar[Choice | None] = ContextVar("noibo.planned", default=None)
