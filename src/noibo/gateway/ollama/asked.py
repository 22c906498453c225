"""What `/api/chat` and `/api/generate` have in common, read once from a body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.supervision import keep_alive
from noibo.errors import InvalidRequest
from noibo.gateway.window.policy import Policy, Wish
from noibo.wire.body import Fields, Json, field
from noibo.wire.ollama import messages
from noibo.wire.ollama import options as ollama_options

LEVELS: Final = ("low", "medium", "high", "max")
MOST_TOPS: Final = 20
ENGINES_OWN: Final = ("x_echo",)
# Of Ollama's own engines: what would be another answer is refused, an empty value says nothing.
_NOT_HERE: Final = {
    "width": "pictures are not made here",
    "height": "pictures are not made here",
    "steps": "pictures are not made here",
    "runner": "which engine runs a model is a setting",
    "_debug_render_only": "prompts are shown by POST /apply-template",
}

Think = bool | str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `think` None: as the model does by itself; `tops`: how many log-probabilities
    beside each token's, None for none at all; `keep_alive` in seconds, None: as it is set. `wish`:
    what becomes of a prompt that is too long. `own`: fields that only the engine knows."""

    model: str
    streamed: bool
    options: Json
    schema: Json | None
    think: Think | None
    keep_alive: float | None
    tops: int | None
    wish: Wish
    own: Fields

    @classmethod
    def parse(cls, fields: Fields) -> Asked:
        """Raises `InvalidRequest` that names the field."""
        for name, why in _NOT_HERE.items():
            if field(fields, name, Any):
                raise InvalidRequest(f"{name}: {why}.", param=name)
        _require_no_shift(fields)
        return cls(
            model=model_name(fields),
            streamed=field(fields, "stream", bool, True),
            options=ollama_options.checked(field(fields, "options", dict[str, Any], {})),
            schema=messages.schema(fields),
            think=_think(fields),
            keep_alive=kept(fields),
            tops=_tops(fields),
            wish=_wish(fields),
            own={name: fields[name] for name in ENGINES_OWN if name in fields},
        )

    @property
    def unloads(self) -> bool:
        """With nothing to answer it asks that the model goes."""
        return self.keep_alive == 0

    @property
    def context(self) -> int:
        """Tokens of context that are wanted at least; 0: as it is."""
        wanted = self.options.get("num_ctx", 0)
        return wanted if isinstance(wanted, int) else 0


def model_name(fields: Fields, name: str = "model", old: str = "name") -> str:
    """The model's name, under this field or the one that it had before."""
    found: str = field(fields, name, str, "") or field(fields, old, str, "")
    if not found:
        raise InvalidRequest(f"{name} is required.", param=name)
    return found


def kept(fields: Fields) -> float | None:
    """How long the model stays afterwards, in seconds."""
    found = field(fields, "keep_alive", Any)
    return None if found is None else keep_alive.parse(found, "keep_alive")


def _wish(fields: Fields) -> Wish:
    """`truncate`, and that its clients expect the oldest to go."""
    said = field(fields, "truncate", bool)
    policy = None if said is None else Policy.DROP_OLDEST if said else Policy.REFUSE
    return Wish(policy, usual=Policy.DROP_OLDEST, whole=bool(field(fields, "suffix", str)))


def _require_no_shift(fields: Fields) -> None:
    if field(fields, "shift", bool):
        raise InvalidRequest(
            "shift: a context is never shifted here, for that answers from half a conversation.",
            param="shift",
            next_step="Leave it out: an answer that fills the context ends, with done_reason "
            "length.",
        )


def _think(fields: Fields) -> Think | None:
    found = field(fields, "think", Any)
    if found is None or isinstance(found, bool):
        return found
    if isinstance(found, str) and found.lower() in LEVELS:
        return found.lower()
    raise InvalidRequest(
        f"think: {str(found)[:40]!r} is none of true, false, {', '.join(LEVELS)}.", param="think"
    )


def _tops(fields: Fields) -> int | None:
    wanted = field(fields, "logprobs", bool, False)
    tops: int = field(fields, "top_logprobs", int, 0)
    if not 0 <= tops <= MOST_TOPS:
        raise InvalidRequest(
            f"top_logprobs must be between 0 and {MOST_TOPS}.", param="top_logprobs"
        )
    if tops and not wanted:
        raise InvalidRequest(
            "top_logprobs: it needs logprobs.",
            param="top_logprobs",
            next_step="Send logprobs: true.",
        )
    return tops if wanted else None
