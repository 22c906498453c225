"""Where the libraries of an engine are installed, found without importing one of them: in an
environment of their own (`noibo engines install transformers`), or beside noibo."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from noibo.engines.environments.environment import Environment
from noibo.errors import EngineMissing

NEEDED: Final = ("torch", "transformers", "accelerate")
ROUNDING: Final = "bitsandbytes"
INSTALL: Final = "`noibo engines install transformers`."


@dataclass(frozen=True, slots=True)
class Installed:
    """What was found. `python`: the interpreter that has it, empty: noibo's own."""

    version: str
    python: str = ""


def find(environment: Callable[[], Environment | None], *, also: tuple[str, ...] = ()) -> Installed:
    """transformers, and what it is to be used with. Raises `EngineMissing` with the command that
    installs what is missing."""
    made = environment()
    if made is not None and made.usable:
        return Installed(f"transformers {made.version} ({made.build})", str(made.interpreter))
    missing = [one for one in (*NEEDED, *also) if importlib.util.find_spec(one) is None]
    if missing:
        raise EngineMissing(
            f"The engine transformers is not installed: there is no {' and no '.join(missing)}.",
            next_step=INSTALL,
        )
    return Installed("transformers " + importlib.metadata.version("transformers"))
