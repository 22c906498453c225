"""The form of an answer, as the worker shell keeps to it: a grammar for llguidance, read here first
so that one that cannot be kept to is refused before the model is asked."""

from __future__ import annotations

from noibo.engines.engine import Fields, Model
from noibo.engines.llama_cpp import schema
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.wire import body

_NONE = b'"none"'


def constrain(fields: Fields, model: Model) -> None:
    """Say the form of an answer, in place. Raises `InvalidRequest` for what cannot be kept to."""
    calls = "tools" in fields and bytes(fields.get("tool_choice", b"")) != _NONE
    found = schema.wanted(fields)
    if found is None:
        if bytes(fields.get("response_format", b"")):
            del fields["response_format"]  # a text: any form will do
        schema.check_grammar(fields)
        return
    name, wanted = found
    thinking = Thinking.of(model)
    if calls:
        raise InvalidRequest(
            f"{name}: with tools that may be called a form cannot be kept to here.",
            param=name,
            next_step='Send tool_choice: "none", or no form.',
        )
    if thinking.thinks and not thinking.has_switch:
        raise InvalidRequest(
            f"{name}: {model.name} thinks before it answers, and cannot be told not to.",
            param=name,
            next_step="Take a model that does not think, or the same as a GGUF (llama_cpp).",
        )
    grammar = schema.grammar_of(wanted)
    schema.require_readable(grammar, name)
    del fields[name]
    fields["grammar"] = body.raw(grammar)
