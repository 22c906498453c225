"""LoRA adapters: each is asked for as a model of its own, MODEL-ADAPTER, and answered by the worker
of its model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.engines.model_name import LATEST
from noibo.errors import NotSupported
from noibo.model_settings import VllmSettings

ENGINE: Final = "vllm"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One that is set: the model in whose table it stands, and its name there."""

    model: str
    name: str

    @property
    def names(self) -> Collection[str]:
        """All that it is asked for as; `:latest` goes without saying."""
        return {f"{self.model}-{self.name}", served(self.model, self.name)}

    def of(self, model: Model) -> Model:
        """Its model, asked for as this adapter. Raises `NotSupported` where nobody loads it."""
        own = model.options.get("vllm")
        if not isinstance(own, VllmSettings) or self.name not in own.lora:
            raise NotSupported(
                f'[models."{self.model}"] has an adapter, and is not the table of {model.name}.',
                next_step=f'Write [models."{model.name}"].',
            )
        adapted = replace(model, adapter=served(model.name, self.name))
        require_loaded(adapted, model.engine)
        return adapted


def served(model: str, adapter: str) -> str:
    """What its server calls it, and who asks."""
    return f"{model.removesuffix(LATEST)}-{adapter}"


def require_loaded(model: Model, engine: str) -> None:
    """Raise `NotSupported` where an adapter would be left out: its model would answer for it."""
    if model.adapter and engine != ENGINE:
        raise NotSupported(
            f"{model.adapter} is an adapter of {model.name}: {ENGINE} loads it, {engine} does not.",
            next_step=f'Write engine = "{ENGINE}" in [models."{model.name}"], or ask for '
            f"{model.adapter}@{ENGINE}.",
        )


def adapters(loading: Mapping[str, Mapping[str, Any]]) -> dict[str, Adapter]:
    """Those that are set, by all their names. `loading`: how models are to be loaded, by name."""
    return {
        name: one
        for model, said in loading.items()
        if isinstance(own := said.get("vllm"), VllmSettings)
        for one in (Adapter(model, adapter) for adapter in own.lora)
        for name in one.names
    }
