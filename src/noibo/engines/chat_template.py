"""A chat template rendered as transformers renders it, in Jinja's own sandbox.

Chats are rendered by llama.cpp, which has a Jinja of its own, in the closed room of its worker:
its reading of tool calls and of reasoning goes with it. docs/templates.md says how the two differ.
What llama.cpp cannot be asked is what a template does when nothing is said: it always says
`enable_thinking`. That is asked here.

A template is a program that came with a file. Jinja's sandbox keeps it from Python's insides, but
not from turning in a circle or filling the memory: call this only where a process is bounded and
watched, as in a worker.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

Messages = Sequence[Mapping[str, Any]]
_HELLO: Final = ({"role": "user", "content": "Hello."},)


class ChatTemplate:
    """One template, compiled. Raises `jinja2.TemplateError` when it is none."""

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self._template = _environment().from_string(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}

    def render(
        self,
        messages: Messages,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **said: Any,
    ) -> str:
        """The prompt's text; `said` is what else the template may ask for (`enable_thinking` …).
        Raises whatever the template raises."""
        return self._template.render(
            messages=[_with_reasoning(message) for message in messages],
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self._tokens,
            **said,
        )


def thinks_by_itself(source: str) -> bool:
    """False for a template whose model thinks only when it is told to. Never raises."""
    try:
        template = ChatTemplate(source)
        silent = template.render(_HELLO)
        on = template.render(_HELLO, enable_thinking=True)
        off = template.render(_HELLO, enable_thinking=False)
    except Exception:  # noqa: BLE001 - a template raises what it likes
        return True
    return on == silent or silent != off


def _with_reasoning(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was thought, under each name by which templates ask for it."""
    given = (message.get(name) for name in ("reasoning_content", "thinking", "reasoning"))
    thought = next((one for one in given if one is not None), None)
    if thought is None:
        return message
    return {"thinking": thought, **message, "reasoning_content": thought}


class _Generation(Extension):
    """The tag around what an assistant said, which is there for training: as if it were not."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja has it

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is, with nothing escaped for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.datetime.now().strftime(form)
