"""What of a request depends on its model: made to fit it, or refused with the name of the field."""

from __future__ import annotations

from typing import Any, Final

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.gateway.pipeline import Request
from noibo.wire import body, openai_messages
from noibo.wire.body import Fields

_FIELDS: Final = ("reasoning_effort", "logit_bias")
_OFF: Final = ("none", "minimal")


def needs_model(request: Request) -> bool:
    """Whether there is anything to fit: for most requests there is not."""
    fields = request.fields
    return any(name in fields for name in _FIELDS) or openai_messages.is_old(fields)


def fit(fields: Fields, model: Model) -> None:
    """Change `fields`, in place, to what this model understands. Raises `InvalidRequest`."""
    _check_bias(fields, model)
    _set_effort(fields, Thinking.of(model), model.name)
    template = model.template or (model.info and model.info.chat_template) or ""
    openai_messages.translate(fields, knows_developer="developer" in template)


def _check_bias(fields: Fields, model: Model) -> None:
    """An engine passes over tokens that a model does not have."""
    size = (model.info and model.info.vocabulary_size) or 2**31
    bias = body.field(fields, "logit_bias", dict[str, float], {})
    unknown = [token for token in bias if int(token) >= size]
    if unknown:
        raise InvalidRequest(
            f"logit_bias: {model.name} has no token {unknown[0]}: its ids end at {size - 1}.",
            param="logit_bias",
        )


def _set_effort(fields: Fields, thinking: Thinking, name: str) -> None:
    effort = body.field(fields, "reasoning_effort", str)
    if effort is None or (thinking.takes_effort and effort != "none"):
        return  # the engine hands it to the template
    if thinking.has_switch:
        del fields["reasoning_effort"]
        options: dict[str, Any] = body.field(fields, "chat_template_kwargs", dict[str, Any], {})
        options.setdefault("enable_thinking", effort not in _OFF)
        fields["chat_template_kwargs"] = body.raw(options)
    elif effort == "none" and not thinking.thinks:
        del fields["reasoning_effort"]
    else:
        what = "always thinks" if thinking.thinks else "does not think"
        raise InvalidRequest(
            f"reasoning_effort: {name} {what}, and takes no effort {effort!r}.",
            param="reasoning_effort",
            next_step="Leave it out, or ask another model.",
        )
