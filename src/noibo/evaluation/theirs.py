"""Any other OpenAI-compatible server as a side of a bench, and what its failures mean to a user."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from noibo.errors import (
    ModelNotFound,
    NoiboError,
    RequestFailed,
    ServerUnreachable,
    Unauthorized,
    UsageError,
)
from noibo.evaluation.answer import Failure, Kind
from noibo.evaluation.calling import Line
from noibo.evaluation.rounds import first_of
from noibo.evaluation.sides import Side
from noibo.modelstore.printable import shown

PATIENCE_S: Final = 15.0  # for a list of models


async def found(side: Side) -> Side:
    """The side with a model and a name. Raises `NoiboError` where it does not answer, or does not
    say which model is meant."""
    if not side.model:
        side = replace(side, model=await _only_model(side))
    return replace(side, name=f"{shown(side.model)} @ {urlsplit(side.base_url).netloc}")


async def _only_model(side: Side) -> str:
    async with Line(side, PATIENCE_S) as line:
        got = await line.models()
    if isinstance(got, Failure):
        if got.kind in {Kind.UNREACHABLE, Kind.REFUSED, Kind.SILENT}:
            raise error_of(side, got)
        raise UsageError(
            f"{side.base_url} does not say which models it has ({got.said}).",
            next_step="Name one: --vs-model NAME.",
        )
    if len(got) != 1:
        names = first_of(map(shown, got), ", ")
        raise UsageError(
            f"{side.base_url} has {len(got)} models{': ' * bool(got)}{names}.",
            next_step="Name one: --vs-model NAME.",
        )
    return got[0]


def error_of(side: Side, failure: Failure) -> NoiboError:
    """A failure that ended a side, as an error with what to do."""
    who = side.name or side.base_url
    said = f"{who}: {failure.kind.value}. {failure.said}"
    if side.host is not None:
        return RequestFailed(
            said, http_status=502, next_step="`noibo list` shows the models, `noibo ps` what runs."
        )
    match failure.kind:
        case Kind.UNREACHABLE:
            return ServerUnreachable(
                f"{who}: no server answers at {side.base_url} ({failure.said}).",
                next_step=f"Start it, or correct the address: curl {side.models_url}",
            )
        case Kind.REFUSED:
            return Unauthorized(
                said, next_step="Name the variable that has its key: --vs-key-env NAME."
            )
        case Kind.NOT_FOUND:
            return ModelNotFound(
                said, next_step=f"See what it has, curl {side.models_url}, and name it: --vs-model."
            )
        case Kind.SILENT:
            return ServerUnreachable(said, next_step="Give it longer: --timeout SECONDS.")
        case _:
            return RequestFailed(said, http_status=502, next_step=f"Look at the log of {who}.")
