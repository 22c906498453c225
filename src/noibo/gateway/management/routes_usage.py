"""What was asked and what it cost, over `/noibo/v1/`: one's own; for who runs the server, all."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from noibo.errors import Forbidden, InvalidRequest, UsageError
from noibo.gateway.access.identity import now
from noibo.gateway.services import Services, services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.usage.money import DOLLARS
from noibo.usage.periods import moment, zone
from noibo.usage.prices import Price
from noibo.wire import management
from noibo.wire.usage import By

router = APIRouter(prefix=management.ROOT, tags=["noibo"], route_class=StrictRoute)

Word = Annotated[str, Query(max_length=1000)]
_DAY_S = 86_400.0


@router.get("/usage")
async def usage(  # noqa: PLR0913, PLR0917 - what can be asked for
    request: Request,
    by: By = "model",
    since: Word = "30d",
    until: Word = "",
    user: Word = "",
    model: Word = "",
    against: Word = "",
) -> JSONResponse:
    """Calls added up `by` day, user, key, model, route, label or destination, in dollars: one's
    own; for an admin everybody's, or a `user`'s. `against`: what savings are counted against."""
    from noibo.usage.report import report
    from noibo.usage.sums import Window, sums
    from noibo.usage.told import report_as_json

    services = services_of(request)
    where, clock = zone(services.settings.usage.time_zone), time.time()
    try:
        begins = moment(since, clock, where, "since")
        ends = moment(until, clock, where, "until") if until else clock + _DAY_S
    except UsageError as error:
        raise InvalidRequest(error.message, next_step=error.next_step) from error
    window = Window(begins, ends, user=_whose(user), model=model)
    await services.border.accounts.ledger.flush(goes_on=True)
    database = (await services.stored()).database
    reference = against or services.settings.usage.reference
    price = await asyncio.to_thread(_price, services, reference)
    long = price.long_above if price and price.long else 0
    cells = await database.read(lambda held: sums(held, window, by, long))
    return JSONResponse(report_as_json(report(cells, by, where, reference, price), DOLLARS))


def _whose(asked: str) -> str:
    """The user whose calls are seen; empty: all users'."""
    who = now()
    if who.grant.role == "admin":
        return asked
    if asked not in {"", who.owner}:
        raise Forbidden(
            f"{who.said} sees its own calls only.",
            next_step="Leave `user` out, or ask who runs this server.",
        )
    return who.owner


def _price(services: Services, reference: str) -> Price | None:
    return services.border.accounts.prices.named(reference) if reference else None
