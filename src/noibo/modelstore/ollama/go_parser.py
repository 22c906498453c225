"""Grows the tree of a Go template from its tokens (text/template, as Ollama uses it).

`define`, `block` and `template` are refused: no model of Ollama's library uses them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, Literal

from noibo.modelstore.ollama.go_lexer import Piece, Token, UntranslatableTemplate, pieces
from noibo.modelstore.ollama.go_tree import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Field,
    Function,
    Jump,
    Node,
    Operand,
    Pipe,
    Text,
    Variable,
)

MAX_LENGTH: Final = 256 * 1024
MAX_DEPTH: Final = 100

_LONGEST_NUMBER: Final = 80  # digits, signs and prefix, as it is written
_CONSTANTS: Final = {"true": True, "false": False, "nil": None}
_LATER: Final = frozenset({"define", "block", "template"})


def parse(template: str) -> tuple[Node, ...]:
    """The nodes of a template; raises `UntranslatableTemplate`."""
    if len(template) > MAX_LENGTH:
        raise UntranslatableTemplate("it is too long for a chat template")
    return _Parser(pieces(template)).whole()


class _Parser:
    """Recursive descent: one method for each kind of node."""

    def __init__(self, source: Iterator[Piece]) -> None:
        self._source = source
        self._depth = 0

    def whole(self) -> tuple[Node, ...]:
        nodes, end = self._list()
        if end:
            raise UntranslatableTemplate(f"{{{{{end[0].text}}}}} ends nothing")
        return nodes

    def _list(self) -> tuple[tuple[Node, ...], tuple[Token, ...]]:
        """Nodes up to an `end` or `else`, and the tokens of that; none at the end of the text."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UntranslatableTemplate("it is nested too deeply")
        nodes: list[Node] = []
        for piece in self._source:
            if isinstance(piece, str):
                nodes.append(Text(piece))
                continue
            word = piece[0].text if piece and piece[0].kind == "word" else ""
            if word in {"end", "else"}:
                self._depth -= 1
                return tuple(nodes), piece
            nodes.append(self._action(word, piece))
        self._depth -= 1
        return tuple(nodes), ()

    def _action(self, word: str, tokens: tuple[Token, ...]) -> Node:
        match word:
            case "if" | "with" | "range":
                return self._branch(word, tokens[1:])
            case "break" | "continue":
                if len(tokens) > 1:
                    raise UntranslatableTemplate(f"{word} takes nothing")
                return Jump(word)
        if word in _LATER:
            raise UntranslatableTemplate(f"{{{{ {word} }}}} is not translated")
        return Action(_Operands(tokens).whole())

    def _branch(self, word: Literal["if", "with", "range"], tokens: tuple[Token, ...]) -> Branch:
        pipe = _Operands(tokens).whole(pair=word == "range")
        then, end = self._list()
        otherwise: tuple[Node, ...] | None = None
        if end and end[0].text == "else":
            otherwise, end = self._else(word, end[1:])
        if not end or len(end) > 1:
            raise UntranslatableTemplate(f"{{{{ {word} }}}} has no end")
        return Branch(word, pipe, then, otherwise)

    def _else(
        self, word: str, tokens: tuple[Token, ...]
    ) -> tuple[tuple[Node, ...], tuple[Token, ...]]:
        """What follows `else`; an `else if` shares the `end` of its `if`."""
        if not tokens:
            return self._list()
        if tokens[0].kind != "word" or tokens[0].text != word or word == "range":
            raise UntranslatableTemplate(f"unexpected {tokens[0].text!r} after else")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UntranslatableTemplate("it is nested too deeply")
        nested = self._branch("if" if word == "if" else "with", tokens[1:])
        self._depth -= 1
        return (nested,), (Token("word", "end", False),)


class _Operands:
    """The tokens of one action, read from the left."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self, pair: bool = False) -> Pipe:
        """All of them as one pipeline. `pair`: two variables may be declared, as in `range`."""
        variables, declares = self._declaration(2 if pair else 1)
        pipe = Pipe(self._commands(), variables, declares)
        if self._at < len(self._tokens):
            raise UntranslatableTemplate(f"unexpected {self._tokens[self._at].text!r}")
        return pipe

    def _declaration(self, most: int) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        for token in self._tokens[:4]:
            if token.kind == "variable":
                names.append(token.text[1:])
            elif token.kind == "mark" and token.text in {":=", "="} and 0 < len(names) <= most:
                self._at = 2 * len(names)
                return tuple(names), token.text == ":="
            elif token.kind != "mark" or token.text != ",":
                break
        return (), True

    def _commands(self) -> tuple[Command, ...]:
        commands = [self._command()]
        while self._mark("|"):
            commands.append(self._command())
        return tuple(commands)

    def _command(self) -> Command:
        operands: list[Operand] = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
        if not operands:
            raise UntranslatableTemplate("a pipeline has nothing in it")
        return tuple(operands)

    def _operand(self) -> Operand | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        if token is None or (token.kind == "mark" and token.text != "("):
            return None
        self._at += 1
        match token.kind:
            case "mark":
                return self._parenthesis()
            case "field":
                return Field((token.text, *self._chain()))
            case "variable":
                return Variable(token.text[1:], self._chain())
        return _word(token)

    def _parenthesis(self) -> Operand:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UntranslatableTemplate("it is nested too deeply")
        pipe = Pipe(self._commands())
        if not self._mark(")"):
            raise UntranslatableTemplate("a parenthesis has no end")
        self._depth -= 1
        names = self._chain()
        return Chain(pipe, names) if names else pipe

    def _chain(self) -> tuple[str, ...]:
        names: list[str] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind != "field" or token.spaced:
                break
            names.append(token.text)
            self._at += 1
        return tuple(names)

    def _mark(self, text: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at].kind == "mark"
        if found and self._tokens[self._at].text == text:
            self._at += 1
            return True
        return False


def _word(token: Token) -> Operand:
    match token.kind:
        case "dot":
            return Field(())
        case "string":
            return Constant(token.text)
        case "number":
            return Constant(_number(token.text))
    return Constant(_CONSTANTS[token.text]) if token.text in _CONSTANTS else Function(token.text)


def _number(text: str) -> int | float:
    """A number of at most 64 bits, as Go's are: what is longer could not be printed again."""
    plain = text.replace("_", "")
    value: int | float | None = None
    if len(plain) <= _LONGEST_NUMBER:
        try:
            value = int(plain, 0)
        except ValueError:
            with contextlib.suppress(ValueError):
                value = float(plain)
    if value is None or not -(2**63) <= value < 2**64:
        raise UntranslatableTemplate(f"{text[:40]} is not a number of 64 bits")
    return value
