"""Any other OpenAI-compatible server as a side of a bench, and what its failures mean to a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from noibo.evaluation.cost import Tariff
from noibo.evaluation.sides import Side, address

PATIENCE_S: Final = 15.0  # for a list of models
_TOLD: Final = 8  # models of another server that a message names


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server as the user named it. `key_env` names the variable with its key."""

    url: str
    model: str = ""
    key_env: str = ""
    tariff: Tariff | None = None

    def side(self, environ: Mapping[str, str]) -> Side:
        """Without a model yet where none was named. Raises `UsageError`, `EgressRefused`."""
        base_url = address(self.url)
        headers = {}
        if self.key_env:
            key = environ.get(self.key_env, "")
            if not key:
                raise UsageError(
                    f"--vs-key-env: there is no variable {self.key_env}, or it is empty.",
                    next_step=f"export {self.key_env}=…",
                )
            headers = {"Authorization": f"Bearer {key}"}
        return Side("", base_url, self.model, headers, tariff=self.tariff)


def tariff(text: str) -> Tariff:
    """Prices as typed, `0.15,0.60`: for a million tokens read, and written."""
    parts = text.split(",")
    try:
        read, written = (float(part) for part in parts)
        if not (0 <= read < float("inf") and 0 <= written < float("inf")):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--vs-price: {text!r} is not two prices.",
            next_step="--vs-price 0.15,0.60 (for a million tokens read, and written)",
        ) from None
    return Tariff(read, written)


async def found(side: Side, since: float) -> Side:
    """The side with a model and a name. Raises `NoiboError` where it does not answer, or does not
    say which model is meant."""
    if not side.model:
        side = replace(side, model=await _only_model(side, since))
    return replace(side, name=f"{side.model} @ {urlsplit(side.base_url).netloc}")


async def _only_model(side: Side, since: float) -> str:
    async with Line(side, PATIENCE_S, since) as line:
        got = await line.models()
    if isinstance(got, Failure):
        if got.kind in {Kind.UNREACHABLE, Kind.REFUSED, Kind.SILENT}:
            raise error_of(side, got)
        raise UsageError(
            f"{side.base_url} does not say which models it has ({got.said}).",
            next_step="Name one: --vs-model NAME.",
        )
    if len(got) != 1:
        names = ", ".join(got[:_TOLD]) + (" …" if len(got) > _TOLD else "")
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
