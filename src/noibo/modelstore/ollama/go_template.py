"""Ollama's prompt templates, written in Go's text/template, translated into Jinja.

A template that ranges over `.Messages` gets the whole conversation; an old one, of `.System`,
`.Prompt` and `.Response`, is printed once for each turn, and what follows `.Response` is left out
of the last one, for that is where the model goes on. Both come out as one Jinja template over
`messages`, `tools`, `add_generation_prompt`, `enable_thinking` and `reasoning_effort`.

What differs from Ollama: JSON keeps the order of its keys and its `<` and `>`; a value that is
missing prints nothing, where Go would print `<no value>`.
"""

from __future__ import annotations

from typing import Final

from noibo.modelstore.ollama import go_prelude
from noibo.modelstore.ollama.go_kinds import Kind, Value
from noibo.modelstore.ollama.go_lexer import UntranslatableTemplate
from noibo.modelstore.ollama.go_parser import parse
from noibo.modelstore.ollama.go_statements import Statements
from noibo.modelstore.ollama.go_tree import Action, Field, Node, Pipe, names_of

__all__ = ["UntranslatableTemplate", "to_jinja"]

_RESPONSE: Final = Action(Pipe(((Field(("Response",)),),)))
_ASKED: Final = {
    "Think": Value("(enable_thinking | default(true))", Kind.BOOL),
    "ThinkLevel": Value("(reasoning_effort | default(''))", Kind.TEXT),
    "IsThinkSet": Value("true", Kind.BOOL),  # Ollama sets it for every model that can think
}
_OF_CHAT: Final = _ASKED | {
    "System": Value("go.system", Kind.TEXT),
    "Messages": Value("go.messages", Kind.MESSAGES),
    "Tools": Value("go.tools", Kind.TOOLS),
}
_OF_TURN: Final = _ASKED | {
    "System": Value("turn['system']", Kind.TEXT),
    "Prompt": Value("turn['prompt']", Kind.TEXT),
    "Response": Value("turn['response']", Kind.TEXT),
}


def to_jinja(text: str) -> str:
    """The same template in Jinja; raises `UntranslatableTemplate`."""
    nodes = parse(text.replace("\r\n", "\n"))
    names = names_of(nodes)
    before = go_prelude.messages(names)
    if "messages" in names:
        chat = _translated(nodes, _OF_CHAT, None)
        return _assembled(chat, before, chat.lines)
    if "response" not in names:
        nodes = (*nodes, _RESPONSE)
    turn = _translated(nodes, _OF_TURN, "turn['whole']")
    body = ["{%- for turn in go.turns -%}", *turn.lines, "{%- endfor -%}"]
    return _assembled(turn, [*before, *go_prelude.turns()], body)


def _translated(nodes: tuple[Node, ...], root: dict[str, Value], cut_by: str | None) -> Statements:
    """Twice where a variable turns out to be given another kind of value than it starts with."""
    kinds: dict[str, Kind] = {}
    try:
        first = Statements(nodes, root, kinds, cut_by)
    except UntranslatableTemplate:
        if not kinds:
            raise
    else:
        if not kinds:
            return first
    return Statements(nodes, root, kinds, cut_by)


def _assembled(translated: Statements, before: list[str], body: list[str]) -> str:
    macros = (go_prelude.MACROS[name] for name in sorted(translated.functions.macros))
    return "\n".join([*(line for macro in macros for line in macro), *before, *body])
