"""Names of LoRA adapters: each is asked for as a model of its own, MODEL-ADAPTER."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from noibo.model_settings import VllmSettings

_LATEST = ":latest"


def served(model: str, adapter: str) -> str:
    """What its server calls it."""
    return f"{model}-{adapter}"


def names(model: str, adapters: Iterable[str]) -> dict[str, str]:
    """All names that the adapters of a model go by, and what its server calls each."""
    adapters = list(adapters)
    short = model.removesuffix(_LATEST)
    return {f"{one}-{name}": served(model, name) for one in (short, model) for name in adapters}


def models(loading: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of each adapter's names, the model that it belongs to, by how models are to be loaded."""
    found: dict[str, str] = {}
    for model, own in loading.items():
        if isinstance(said := own.get("vllm"), VllmSettings):
            found |= dict.fromkeys(names(model, said.lora), model)
    return found
