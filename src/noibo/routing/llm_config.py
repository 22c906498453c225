"""The seed's `LLM_CONFIG`, as it is written there, and what `HybridLLM` takes besides.

    LLM_CONFIG = {
        "local": {"model": "Qwen/Qwen2.5-7B-Instruct", "endpoint": "http://localhost:8000/v1",
                  "max_tokens": 2048, "temperature": 0.2},
        "api": {"model": "openai/gpt-4o-mini", "endpoint": "https://openrouter.ai/api/v1",
                "max_tokens": 4096, "temperature": 0.3},
        "routing": {"simple_threshold": 0.7, "api_fallback": True, "max_api_calls_per_hour": 100},
    }

What it does not say is as in the settings (`LLM_STRATEGY`, `LOCAL_LLM_URL`, `OPENROUTER_API_KEY`,
noibo.toml); keys that nobody knows are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from noibo.egress import Destination
from noibo.errors import EgressRefused, SettingsError
from noibo.model_settings import Chance, Whole, header_key
from noibo.routing.strategy import Kind, Limits, Side, Strategy
from noibo.routing.virtual import virtual_models
from noibo.settings import Count, Settings, Temperature


class SideConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side. `model` empty: the first that the endpoint lists."""

    model: str | None = None
    endpoint: str | None = None
    api_key: str | None = None
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    context: Count | None = None


class RoutingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is chosen by. The first three are the seed's."""

    simple_threshold: Chance | None = None
    api_fallback: bool | None = None
    max_api_calls_per_hour: Whole | None = None
    complex_threshold: Chance | None = None
    strategy: Kind | None = None
    confidence: Chance | None = None
    quality: Chance | None = None
    judge: str | None = None
    samples: Annotated[int, msgspec.Meta(ge=1, le=9)] | None = None
    sticky: bool | None = None


class LlmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole."""

    local: SideConfig = SideConfig()
    api: SideConfig = SideConfig()
    routing: RoutingConfig = RoutingConfig()
    system: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """One model and where it is asked for."""

    url: str
    model: str = ""
    key: str = dataclasses.field(default="", repr=False)
    context: int | None = None
    openrouter: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """All that `HybridLLM` goes by. `api` None: nobody elsewhere is asked."""

    local: Reached
    api: Reached | None
    strategy: Strategy
    judge: str = ""
    samples: int = 1
    system: str = ""


def read_config(said: Mapping[str, Any] | None, settings: Settings) -> Wiring:
    """By a configuration, and by the settings where it says nothing. Raises `SettingsError`."""
    config = _checked(said or {})
    usual = virtual_models(settings)["auto"]
    routing, chosen = settings.routing, config.routing
    local = Reached(
        _url("local", config.local.endpoint or routing.local.endpoint or f"{settings.url}/v1"),
        config.local.model or routing.local.model,
        header_key(config.local.api_key or "", "LLM_CONFIG local"),
        config.local.context,
    )
    # Whoever writes an api side down wants it asked; a key in the environment alone does not.
    wanted = bool(said and "api" in said) or bool(settings.api_name)
    api = Reached(
        _url("api", config.api.endpoint or routing.api.endpoint),
        config.api.model or routing.api.model,
        header_key(config.api.api_key or routing.api.key, "LLM_CONFIG api"),
        config.api.context,
        openrouter=settings.keyed_for_openrouter and not config.api.api_key,
    )
    return Wiring(
        local=local,
        api=api if wanted else None,
        strategy=_strategy(config, usual.strategy, written=said is not None, settings=settings),
        judge=usual.judge if chosen.judge is None else chosen.judge,
        samples=chosen.samples or usual.samples,
        system=config.system,
    )


def _checked(said: Mapping[str, Any]) -> LlmConfig:
    try:
        return msgspec.convert(dict(said), LlmConfig)
    except (TypeError, ValueError) as exc:
        raise SettingsError(
            f"LLM_CONFIG cannot be read: {exc}.",
            next_step="It has local and api (model, endpoint, max_tokens, temperature) and routing "
            "(simple_threshold, api_fallback, max_api_calls_per_hour); see docs/routing.md.",
        ) from exc


def _strategy(config: LlmConfig, usual: Strategy, *, written: bool, settings: Settings) -> Strategy:
    chosen = config.routing
    said = {
        name: value
        for name in ("simple_threshold", "complex_threshold", "confidence", "quality", "sticky")
        if (value := getattr(chosen, name)) is not None
    }
    if chosen.api_fallback is not None:
        said["api_fallback"] = chosen.api_fallback
    calls = chosen.max_api_calls_per_hour
    limits = usual.limits if calls is None else Limits(calls or None)
    # A configuration with two sides is a hybrid one, unless LLM_STRATEGY or noibo.toml says what.
    unsaid = settings.sources.get("routing.strategy", "default") == "default"
    kind: Kind = chosen.strategy or ("hybrid" if written and unsaid else usual.kind)
    return dataclasses.replace(
        usual,
        kind=kind,
        local=_side(config.local, usual.local),
        api=_side(config.api, usual.api),
        limits=limits,
        **said,
    )


def _side(config: SideConfig, usual: Side) -> Side:
    return Side(
        usual.max_tokens if config.max_tokens is None else config.max_tokens,
        usual.temperature if config.temperature is None else config.temperature,
    )


def _url(side: str, said: str) -> str:
    """Raises `SettingsError` for what is no address, or would be told with a password in it."""
    url = said.strip().rstrip("/")
    try:
        there = Destination.of(url)
    except EgressRefused as refused:
        raise SettingsError(
            f"LLM_CONFIG {side}.endpoint: {refused.message}",
            next_step='Write an address such as "http://localhost:8000/v1".',
        ) from None
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            f"LLM_CONFIG {side}.endpoint: {there} has a name, a password or a question in its "
            "address.",
            next_step="A key goes into api_key; the address is host, port and path.",
        )
    return url
