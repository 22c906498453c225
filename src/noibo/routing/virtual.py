"""Virtual models: names that stand for whichever of several models suits a request.

`auto` is always there. `[virtual."NAME"]` in noibo.toml makes others, and changes `auto`; what a
table does not say is as in `[routing]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from noibo.errors import SettingsError
from noibo.model_settings import AUTO, ELSEWHERE, ModelSettings, SideSettings, VirtualSettings
from noibo.routing.candidates import EVERY_TASK, Candidate
from noibo.routing.demand import USUAL
from noibo.routing.strategy import Limits, Side, Strategy
from noibo.settings import Routing, Settings

Value = TypeVar("Value")
ALL_TASKS = "all"  # as `quality = { all = 0.8 }` has it


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """One name. `judge`: a model that is asked besides whether an answer is good; `samples`: how
    many answers a local model is asked for where one is checked."""

    name: str
    candidates: tuple[str, ...]
    strategy: Strategy
    judge: str = ""
    samples: int = 1


def virtual_models(settings: Settings) -> dict[str, VirtualModel]:
    """All of them, by name, with aliases of candidates as they are written. Raises `SettingsError`
    for thresholds that contradict each other."""
    tables = {AUTO: VirtualSettings(), **settings.virtual}
    return {name: _of(name, own, settings) for name, own in tables.items()}


def usual_candidates(settings: Settings) -> tuple[str, ...]:
    """Of `auto`: the local model, and the one elsewhere where it may be asked."""
    return tuple(name for name in (settings.local_name, settings.api_name) if name)


def declared_candidate(name: str, own: ModelSettings | None, *, local: bool) -> Candidate:
    """A candidate by what the settings say of it alone; whoever knows more (context, price, pace,
    breaker) replaces that. `local`: it is asked without leaving the house."""
    own = own or ModelSettings()
    quality = {EVERY_TASK if task == ALL_TASKS else task: p for task, p in own.quality.items()}
    return Candidate(
        name=name,
        local=local,
        context=own.ctx_size or None,
        abilities=USUAL if own.abilities is None else frozenset(own.abilities),
        quality=quality,
    )


def is_local(own: ModelSettings | None, *, outside: bool) -> bool:
    """Whether a model counts as of this machine. `outside`: its address is not on it."""
    return own is None or own.engine not in ELSEWHERE or own.trusted or not outside


def _of(name: str, own: VirtualSettings, settings: Settings) -> VirtualModel:
    routing = settings.routing
    strategy = _strategy(own, routing)
    if strategy.complex_threshold > strategy.simple_threshold:
        raise SettingsError(
            f'[virtual."{name}"]: complex_threshold {strategy.complex_threshold} is over '
            f"simple_threshold {strategy.simple_threshold}.",
            next_step="What is less likely right is the more complex: mend one of them, there or "
            "in [routing].",
        )
    return VirtualModel(
        name,
        own.candidates or usual_candidates(settings),
        strategy,
        _said(own.judge, routing.judge),
        _said(own.samples, routing.samples),
    )


def _strategy(own: VirtualSettings, routing: Routing) -> Strategy:
    calls = _said(own.max_api_calls_per_hour, routing.max_api_calls_per_hour)
    local, api = routing.local, routing.api
    return Strategy(
        kind=own.strategy or routing.strategy,
        simple_threshold=_said(own.simple_threshold, routing.simple_threshold),
        complex_threshold=_said(own.complex_threshold, routing.complex_threshold),
        confidence=_said(own.confidence, routing.confidence),
        quality=_said(own.quality, routing.quality),
        local=_side(own.local, Side(local.max_tokens or None, local.temperature)),
        api=_side(own.api, Side(api.max_tokens or None, api.temperature)),
        api_fallback=_said(own.api_fallback, routing.api_fallback),
        limits=Limits(calls or None, own.max_cost, own.max_seconds),
        sticky=_said(own.sticky, routing.sticky),
    )


def _side(own: SideSettings | None, usual: Side) -> Side:
    if own is None:
        return usual
    return Side(_said(own.max_tokens, usual.max_tokens), _said(own.temperature, usual.temperature))


def _said(own: Value | None, usual: Value) -> Value:
    return usual if own is None else own
