"""What an Ollama says of itself and of a model, before the model is asked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from noibo.wire.body import Json

Version = tuple[int, ...]
REFUSES_SINCE: Final[Version] = (0, 12, 6)  # knows `truncate` and `shift` of a chat
SCORES_SINCE: Final[Version] = (0, 12, 11)  # knows `logprobs`
_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_NUM_CTX: Final = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)


def version_of(said: Json) -> Version:
    """Of `/api/version`; one built by hand (0.0.0) is taken to be new."""
    found = _NUMBERS.match(str(said.get("version", "")))
    numbers = tuple(int(one or 0) for one in found.groups()) if found else ()
    return numbers if any(numbers) else (2**31,)


@dataclass(frozen=True, slots=True)
class Facts:
    """`trained`: tokens of context; 0: not said. `num_ctx`: what its Modelfile sets; 0: nothing.
    `levels`: it takes words for how long it thinks."""

    version: Version
    trained: int = 0
    num_ctx: int = 0
    loaded: int = 0
    capabilities: tuple[str, ...] = ()
    levels: bool = False

    @classmethod
    def of(cls, version: Json, shown: Json, running: Json, model: str) -> Facts:
        """Of `/api/version`, `/api/show` and `/api/ps`."""
        info = object_of(shown.get("model_info"))
        trained = info.get(f"{info.get('general.architecture')}.context_length")
        set_by = _NUM_CTX.search(str(shown.get("parameters") or ""))
        thinking = object_of(shown.get("thinking")).get("values")
        family = str(object_of(shown.get("details")).get("family") or "")
        return cls(
            version_of(version),
            trained if isinstance(trained, int) else 0,
            int(set_by[1]) if set_by else 0,
            _loaded(running, model),
            tuple(shown.get("capabilities") or ()),
            any(isinstance(one, str) for one in thinking or ()) or family.startswith("gpt"),
        )


def _loaded(running: Json, model: str) -> int:
    """The context with which it is loaded now; 0: it is not, or that Ollama does not say."""
    for row in running.get("models") or ():
        if full(str(row.get("name", ""))) == full(model):
            return int(row.get("context_length") or 0)
    return 0


def full(name: str) -> str:
    """A name with its tag, as Ollama has it."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def object_of(value: Any) -> Json:
    """An object, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}
