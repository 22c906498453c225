"""Cuts a Go template (text/template) into text and actions, and an action into tokens.

Only the syntax: `{{`, `}}`, the trim marks `{{- ` and ` -}}`, comments, and the tokens that
pipelines are made of. What they mean is `go_tree`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["field", "variable", "dot", "word", "string", "number", "mark"]

_SPACE: Final = " \t\r\n"
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<field>\.[^\W\d]\w*)
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
                         |(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
      | (?P<dot>\.)
      | (?P<variable>\$\w*)
      | (?P<word>[^\W\d]\w*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
      | (?P<char>'(?:[^'\\\n]|\\[^\n])+')
      | (?P<mark>:=|=|\||\(|\)|,)""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_PLAIN_ESCAPES: Final = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))


class UntranslatableTemplate(ValueError):
    """A template that is no Go template, or uses what cannot be said in Jinja."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `spaced`: white space stands before it, so that it begins a new operand."""

    kind: Kind
    text: str  # of a string, what it stands for
    spaced: bool


Piece = str | tuple[Token, ...]  # text as it is printed, or one action


def pieces(template: str) -> Iterator[Piece]:
    """Text and actions in turn, white space trimmed where the marks say so. No comments."""
    start, trim = 0, False
    while True:
        opening = template.find("{{", start)
        text = template[start:] if opening < 0 else template[start:opening]
        if trim:
            text = text.lstrip(_SPACE)
        inside = opening + 2
        left = opening >= 0 and template[inside : inside + 1] == "-"
        left = left and template[inside + 1 : inside + 2] in tuple(_SPACE)
        if left:
            text = text.rstrip(_SPACE)
            inside += 2
        if text:
            yield text
        if opening < 0:
            return
        action, start, trim = _action(template, inside)
        if action is not None:
            yield action


def _action(template: str, start: int) -> tuple[tuple[Token, ...] | None, int, bool]:
    """The tokens from `start` to the closing braces, where those end, and whether they trim."""
    at = start
    while template[at : at + 1] in tuple(_SPACE):
        at += 1
    if template.startswith("/*", at):
        end = template.find("*/", at)
        if end < 0:
            raise UntranslatableTemplate("a comment has no end")
        after, trim = _closing(template, end + 2)
        if after < 0:
            raise UntranslatableTemplate("a comment shares its braces with something else")
        return None, after, trim
    tokens: list[Token] = []
    at, spaced = start, True
    while True:
        after, trim = _closing(template, at)
        if after >= 0:
            return tuple(tokens), after, trim
        found = _TOKEN.match(template, at)
        if found is None:
            raise UntranslatableTemplate(f"unexpected {template[at : at + 10]!r}")
        if found.lastgroup == "space":
            spaced = True
        else:
            tokens.append(_token(found, spaced))
            spaced = False
        at = found.end()


def _closing(template: str, at: int) -> tuple[int, bool]:
    """Where the braces that close an action end, or -1; and whether they trim what follows."""
    if template.startswith("}}", at):
        return at + 2, False
    mark = at
    while template[mark : mark + 1] in tuple(_SPACE):
        mark += 1
    if mark > at and template.startswith("-}}", mark):
        return mark + 3, True
    return -1, False


def _token(found: re.Match[str], spaced: bool) -> Token:
    text = found[0]
    match found.lastgroup:
        case "string":
            return Token("string", text[1:-1] if text[0] == "`" else _unescaped(text[1:-1]), spaced)
        case "char":
            character = _unescaped(text[1:-1])
            if len(character) != 1:
                raise UntranslatableTemplate(f"{text} is not one character")
            return Token("number", str(ord(character)), spaced)
        case "field":
            return Token("field", text[1:], spaced)
        case "number" | "dot" | "variable" | "word" | "mark" as kind:
            return Token(kind, text, spaced)
    raise AssertionError(found.lastgroup)


def _unescaped(text: str) -> str:
    def one(escape: re.Match[str]) -> str:
        two, four, eight, octal, plain = escape.groups()
        if plain is not None:
            if plain not in _PLAIN_ESCAPES:
                raise UntranslatableTemplate(f"unknown escape {escape[0]}")
            return _PLAIN_ESCAPES[plain]
        code = int(octal, 8) if octal else int(two or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise UntranslatableTemplate(f"unknown escape {escape[0]}")
        return chr(code)

    return _ESCAPE.sub(one, text)
