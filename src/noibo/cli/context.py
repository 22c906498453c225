"""What every command is given: the settings, with the options before the command applied."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any

from noibo.settings import Settings, load

_config: ContextVar[Path | None] = ContextVar("config", default=None)


def use_config(path: Path | None) -> None:
    """Remember `noibo --config FILE` for the command that follows."""
    _config.set(path)


def settings(*, plain: bool = False, **options: Any) -> Settings:
    """The settings; `options` by dotted name with `__` for the dot, None where not given. `plain`:
    with the plain variables of `noibo.llm_service`."""
    named = {name.replace("__", "."): value for name, value in options.items()}
    return load(config=_config.get(), options=named, plain=plain)
