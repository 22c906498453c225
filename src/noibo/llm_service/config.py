"""How answers are drawn: the keys that `update_generation_config` takes, with their limits."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.settings import Llm, Share, Temperature

Penalty = Annotated[float, Meta(ge=-2, le=2)]
# Names that transformers has for the same.
_SAME: Final = {
    "max_new_tokens": "max_tokens",
    "repetition_penalty": "repeat_penalty",
    "enable_thinking": "think",
}


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How an answer is drawn. None: as the engine has it. `system` is what the model is told before
    the question; `stop` are texts that end an answer; `think`: whether a model that can
    think does so before it answers."""

    max_tokens: Annotated[int, Meta(ge=1)] = 1000
    temperature: Temperature = 0.7
    top_p: Share = 0.9
    top_k: Annotated[int, Meta(ge=0)] = 50
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    system: str = ""
    think: bool | None = None

    @classmethod
    def of(cls, llm: Llm) -> GenerationConfig:
        """What the settings say."""
        return cls(llm.max_tokens, llm.temperature, llm.top_p, llm.top_k)

    def updated(self, **changes: Any) -> GenerationConfig:
        """With some keys anew. Raises `InvalidRequest` for one that there is not, with the nearest
        that there is, and for a value that cannot be."""
        kinds = get_type_hints(GenerationConfig, include_extras=True)
        values: dict[str, Any] = {}
        for name, value in changes.items():
            if name == "do_sample":  # transformers' word for it
                values = self._sampled(bool(value), values)
                continue
            key = _SAME.get(name, name)
            if key not in kinds:
                raise _unknown(name, (*kinds, *_SAME, "do_sample"))
            values[key] = checked(name, value, kinds[key])
        return dataclasses.replace(self, **values)

    def _sampled(self, draws: bool, values: dict[str, Any]) -> dict[str, Any]:
        """The values with the temperature that `do_sample` means: the usual one, where it was 0."""
        if not draws:
            return {**values, "temperature": 0.0}
        usual = {} if self.temperature else {"temperature": GenerationConfig().temperature}
        return {**usual, **values}

    def fields(self) -> dict[str, Any]:
        """The fields of a request; `system` and `think` are told otherwise."""
        said = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        del said["system"], said["think"]
        return {name: value for name, value in said.items() if value is not None and value != ()}


def checked(name: str, value: Any, kind: Any) -> Any:
    """The value, where it is of its kind. Raises `InvalidRequest`."""
    if name == "stop" and isinstance(value, str):
        value = (value,)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(
            f"{name} = {value!r} is no good: {exc}.",
            param=name,
            next_step="docs/llm_service.md lists the keys and what they may be.",
        ) from exc


def _unknown(name: str, known: tuple[str, ...]) -> InvalidRequest:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(known))}."
    return InvalidRequest(f"There is no generation setting {name!r}.", param=name, next_step=hint)
