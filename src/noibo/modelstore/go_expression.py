"""Go pipelines as Jinja expressions: fields, variables, and the functions that Ollama offers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from noibo.modelstore.go_kinds import (
    ELEMENTS,
    MAPS,
    Kind,
    Value,
    as_json,
    member,
    printed,
    quoted,
)
from noibo.modelstore.go_lexer import UntranslatableTemplate
from noibo.modelstore.go_tree import Chain, Command, Constant, Field, Function, Operand, Pipe
from noibo.modelstore.go_tree import Variable as VariableNode

EMPTY: Final = Value("''", Kind.TEXT)
_COMPARE: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_VERB: Final = re.compile(r"%(.)")


@dataclass(slots=True)
class Scope:
    """What names mean at one place: the dot, and the variables in sight."""

    dot: Value
    variables: dict[str, Value]

    def inner(self, dot: Value | None = None) -> Scope:
        """A scope within this one; what is declared there is not seen here."""
        return Scope(dot or self.dot, dict(self.variables))


@dataclass(slots=True)
class Expressions:
    """Translates pipelines. `root` holds the members of `$`; `macros` gathers those in use."""

    root: dict[str, Value]
    macros: set[str] = field(default_factory=set)

    def printed(self, value: Value) -> str:
        """The text that Go prints for `value`, as an expression."""
        code = printed(value)
        if code is None:
            raise UntranslatableTemplate("it prints a whole structure of Go's")
        if value.kind in {Kind.ANY, Kind.LIST}:
            self.macros.update({"go_list", "go_text"} if value.kind is Kind.LIST else {"go_text"})
        return code

    def pipe(self, pipe: Pipe, scope: Scope) -> Value:
        """The value of a pipeline: each command's is the last argument of the next."""
        value = self._command(pipe.commands[0], None, scope)
        for command in pipe.commands[1:]:
            value = self._command(command, value, scope)
        return value

    def _command(self, command: Command, piped: Value | None, scope: Scope) -> Value:
        first, *rest = command
        if isinstance(first, Function):
            if first.name == "len" and len(rest) == 1 and (spaces := _padded(rest[0])):
                count = self._operand(spaces[1], scope).code
                return Value(f"({count} + {spaces[0]})", Kind.NUMBER)
            arguments = [self._operand(operand, scope) for operand in rest]
            return self._call(first.name, arguments + ([piped] if piped else []))
        if rest or piped:
            raise UntranslatableTemplate("it calls what is no function")
        return self._operand(first, scope)

    def _operand(self, operand: Operand, scope: Scope) -> Value:
        match operand:
            case Constant():
                return _constant(operand.value)
            case Field():
                return self._members(scope.dot, operand.names)
            case VariableNode():
                if operand.name not in scope.variables:
                    raise UntranslatableTemplate(f"${operand.name} is not declared")
                return self._members(scope.variables[operand.name], operand.names)
            case Chain():
                return self._members(self.pipe(operand.pipe, scope), operand.names)
            case Function():
                return self._call(operand.name, [])
            case Pipe():
                return self.pipe(operand, scope)

    def _members(self, value: Value, names: tuple[str, ...]) -> Value:
        for name in names:
            if value.kind is Kind.ROOT:
                value = self.root.get(name, EMPTY)
                continue
            found = member(value, name)
            if found is None:
                raise UntranslatableTemplate(f".{name} means nothing there")
            value = found
        return value

    def _call(self, name: str, given: list[Value]) -> Value:
        if name in {"and", "or"}:
            return _logical(name, given)
        if name in _COMPARE:
            return _compared(name, given)
        calls: dict[str, Callable[[list[Value]], Value]] = {
            "not": _negated,
            "len": _length,
            "index": _index,
            "slice": _slice,
            "json": _json,
            "toJson": _json,
            "print": self._print,
            "println": self._println,
            "printf": self._printf,
            "currentDate": _today,
            "yesterdayDate": self._yesterday,
            "toTypeScriptType": self._typescript,
        }
        if name not in calls:
            raise UntranslatableTemplate(f"the function {name} is not translated")
        return calls[name](given)

    def _print(self, given: list[Value]) -> Value:
        """As Go's Sprint: a space between two that are both no text."""
        parts: list[str] = []
        for number, value in enumerate(given):
            if number and Kind.TEXT not in {value.kind, given[number - 1].kind}:
                parts.append("' '")
            parts.append(self.printed(value))
        return _joined(parts)

    def _println(self, given: list[Value]) -> Value:
        parts = [self.printed(value) for value in given]
        spaced = [part for text in parts for part in (text, "' '")][:-1]
        return _joined([*spaced, quoted("\n")])

    def _printf(self, given: list[Value]) -> Value:
        pattern = given[0].code if given else ""
        if not given or given[0].kind is not Kind.TEXT or pattern[:1] != "'":
            raise UntranslatableTemplate("printf needs its format as a constant")
        rest = iter(given[1:])
        parts: list[str] = []
        at = 0
        for verb in _VERB.finditer(pattern[1:-1]):
            parts.append(f"'{pattern[1 + at : 1 + verb.start()]}'")
            at = verb.end()
            parts.append(self._verb(verb[1], rest.__next__))
        parts.append(f"'{pattern[1 + at : -1]}'")
        if next(rest, None) is not None:
            raise UntranslatableTemplate("printf has more values than its format wants")
        return _joined([part for part in parts if part != "''"])

    def _verb(self, verb: str, following: Callable[[], Value]) -> str:
        if verb == "%":
            return "'%'"
        if verb not in "svdq":
            raise UntranslatableTemplate(f"printf's %{verb} is not translated")
        try:
            value = following()
        except StopIteration:
            raise UntranslatableTemplate("printf's format wants more values") from None
        return as_json(value.code) if verb == "q" else self.printed(value)

    def _yesterday(self, given: list[Value]) -> Value:
        self.macros.add("go_yesterday")
        return Value("go_yesterday()", Kind.TEXT)

    def _typescript(self, given: list[Value]) -> Value:
        value = _only(given, "toTypeScriptType")
        if value.kind not in {Kind.PROPERTY, Kind.ANY}:
            return Value("'any'", Kind.TEXT)
        self.macros.add("go_typescript")
        return Value(f"go_typescript({value.code})", Kind.TEXT)


def _padded(operand: Operand) -> tuple[int, Operand] | None:
    """`printf "a%*s" $n ""`: how templates count, since Go's have no sum. The "a", and the `$n`."""
    match operand:
        case Pipe(
            commands=((Function(name="printf"), Constant(value=str(text)), count, Constant("")),)
        ) if text.count("%") == 1 and "%*s" in text:
            return len(text.replace("%*s", "").encode()), count
    return None


def _constant(value: str | float | bool | None) -> Value:
    match value:
        case None:
            return Value("none", Kind.ANY)
        case bool():
            return Value("true" if value else "false", Kind.BOOL)
        case str():
            return Value(quoted(value), Kind.TEXT)
    if isinstance(value, float) and not math.isfinite(value):
        raise UntranslatableTemplate("a number is too large")
    text = f"{value:f}" if isinstance(value, float) else str(value)
    return Value(f"({text})" if value < 0 else text, Kind.NUMBER)


def _only(given: list[Value], name: str) -> Value:
    if len(given) != 1:
        raise UntranslatableTemplate(f"{name} takes one value")
    return given[0]


def _logical(name: str, given: list[Value]) -> Value:
    """Like Jinja's, these give the value that decided."""
    if not given:
        raise UntranslatableTemplate(f"{name} takes at least one value")
    kinds = {value.kind for value in given}
    code = f" {name} ".join(value.code for value in given)
    return Value(f"({code})", kinds.pop() if len(kinds) == 1 else Kind.ANY)


def _compared(name: str, given: list[Value]) -> Value:
    """`eq` takes several to compare the first with; one of them is enough."""
    if len(given) < 2 or (len(given) > 2 and name != "eq"):
        raise UntranslatableTemplate(f"{name} takes two values")
    first, *others = (value.code for value in given)
    code = " or ".join(f"{first} {_COMPARE[name]} {other}" for other in others)
    return Value(f"({code})", Kind.BOOL)


def _negated(given: list[Value]) -> Value:
    return Value(f"(not {_only(given, 'not').code})", Kind.BOOL)


def _length(given: list[Value]) -> Value:
    return Value(f"({_only(given, 'len').code} | length)", Kind.NUMBER)


def _json(given: list[Value]) -> Value:
    value = _only(given, "json")
    if value.kind in {Kind.ROOT, Kind.MESSAGES, Kind.MESSAGE}:
        raise UntranslatableTemplate("it prints a whole structure of Go's")
    return Value(
        printed(value) or "" if value.kind is Kind.ARGUMENTS else as_json(value.code), Kind.TEXT
    )


def _index(given: list[Value]) -> Value:
    if not given:
        raise UntranslatableTemplate("index takes at least one value")
    value, *keys = given
    for key in keys:
        kind = ELEMENTS.get(value.kind)
        if kind is None or (value.kind in MAPS) == (key.kind is Kind.NUMBER):
            raise UntranslatableTemplate("index is of what has no such elements")
        value = Value(f"{value.code}[{key.code}]", kind)
    return value


def _slice(given: list[Value]) -> Value:
    kinds = (Kind.TEXT, *ELEMENTS)
    if not 1 <= len(given) <= 3 or given[0].kind not in kinds or given[0].kind in MAPS:
        raise UntranslatableTemplate("slice is of what has no such elements")
    value, *ends = (one.code for one in given)
    start = ends[0] if ends else "0"
    stop = ends[1] if len(ends) > 1 else f"({value} | length)"  # llama.cpp wants both for a text
    return Value(f"{value}[{start}:{stop}]", given[0].kind)


def _today(given: list[Value]) -> Value:
    return Value("strftime_now('%Y-%m-%d')", Kind.TEXT)


def _joined(parts: list[str]) -> Value:
    """One text; it begins with one, for not every Jinja joins two numbers."""
    whole = " ~ ".join(["''", *parts])
    return Value(f"({whole})", Kind.TEXT)
