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
OF_OPENVINO: Final = ("openvino", "tokenizers")
INSTALL_OPENVINO: Final = "`pip install 'noibo[embeddings]'`."
INSTALL: Final = "`noibo engines install transformers`."


@dataclass(frozen=True, slots=True)
class Installed:
    """What was found. `python`: the interpreter that has it, empty: noibo's own. `on_cpu`: its
    build of torch knows no GPU."""

    version: str
    python: str = ""
    on_cpu: bool = False


def find(environment: Callable[[], Environment | None], *, also: tuple[str, ...] = ()) -> Installed:
    """transformers, and what it is to be used with. Raises `EngineMissing` with the command that
    installs what is missing."""
    made = environment()
    if made is not None and made.usable:
        version = f"transformers {made.version} ({made.build})"
        return Installed(version, str(made.interpreter), on_cpu=made.build == "cpu")
    _require("transformers", (*NEEDED, *also), INSTALL)
    version = "transformers " + importlib.metadata.version("transformers")
    return Installed(version, on_cpu=importlib.metadata.version("torch").endswith("+cpu"))


def find_openvino() -> str:
    """Its version. Raises `EngineMissing`."""
    _require("openvino", OF_OPENVINO, INSTALL_OPENVINO)
    return "openvino " + importlib.metadata.version("openvino")


def _require(engine: str, packages: tuple[str, ...], next_step: str) -> None:
    missing = [one for one in packages if importlib.util.find_spec(one) is None]
    if missing:
        raise EngineMissing(
            f"The engine {engine} is not installed: there is no {' and no '.join(missing)}.",
            next_step=next_step,
        )
