"""What of a request depends on its model: made to fit it, or refused with the name of the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.engines.remote.adapter import Remote
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.gateway.openai.asked import Asked
from noibo.gateway.pipeline import Request
from noibo.wire import body
from noibo.wire.body import Fields
from noibo.wire.openai import calls, messages

_FIELDS: Final = ("reasoning_effort", "logit_bias", "tool_choice")
_REQUIRED: Final = b'"required"'
_OFF: Final = ("none", "minimal")


def needs_model(request: Request) -> bool:
    """Whether there is anything to fit: for most requests there is not."""
    fields = request.fields
    return any(name in fields for name in _FIELDS) or messages.is_old(fields)


def fit(asked: Asked, model: Model) -> Asked:
    """Say, in place, what is asked as this model understands it. Raises `InvalidRequest`."""
    fields, thinking = asked.request.fields, Thinking.of(model)
    if model.engine == Remote.name:  # it says itself what it cannot do
        messages.translate(fields, knows_developer=False)
        return asked
    _check_bias(fields, model)
    _set_effort(fields, thinking, model.name)
    forced = _force_call(fields, thinking)
    template = model.chat_template
    messages.translate(fields, knows_developer="developer" in template)
    if not forced:
        return asked
    said = "functions" if asked.shape.functions else "tools"
    request = replace(asked.request, made_of={"json_schema": said})
    return replace(asked, request=request, shape=replace(asked.shape, forced=True))


def _force_call(fields: Fields, thinking: Thinking) -> bool:
    """A call that must be: the engine would let the model say as much as it likes before it, so it
    is held to the JSON of a call. One that always thinks first is left to the engine."""
    if bytes(fields.get("tool_choice", b"")) != _REQUIRED or (
        thinking.thinks and not thinking.has_switch
    ):
        return False
    if any(name in fields for name in ("response_format", "json_schema", "grammar")):
        return False
    tools = body.field(fields, "tools", list[dict[str, Any]])
    fields["json_schema"] = body.raw(calls.schema_of(tools))
    fields["tool_choice"] = body.raw("none")
    if thinking.has_switch:
        options: dict[str, Any] = body.field(fields, "chat_template_kwargs", dict[str, Any], {})
        fields["chat_template_kwargs"] = body.raw(options | {"enable_thinking": False})
    return True


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
