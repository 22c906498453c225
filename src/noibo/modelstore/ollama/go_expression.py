"""Go pipelines as Jinja expressions: fields, variables, constants, calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from noibo.modelstore.ollama.go_functions import LONGEST, Functions
from noibo.modelstore.ollama.go_kinds import Kind, Value, member, quoted
from noibo.modelstore.ollama.go_lexer import UntranslatableTemplate
from noibo.modelstore.ollama.go_tree import Chain, Command, Constant, Field, Function, Operand, Pipe
from noibo.modelstore.ollama.go_tree import Variable as VariableNode

EMPTY: Final = Value("''", Kind.TEXT)


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
    """Translates pipelines. `root` holds the members of `$`."""

    root: dict[str, Value]
    functions: Functions = field(default_factory=Functions)

    def pipe(self, pipe: Pipe, scope: Scope) -> Value:
        """The value of a pipeline: each command's is the last argument of the next."""
        value = self._command(pipe.commands[0], None, scope)
        for command in pipe.commands[1:]:
            value = self._command(command, value, scope)
        if len(value.code) > LONGEST:
            raise UntranslatableTemplate("an expression is too long")
        return value

    def _command(self, command: Command, piped: Value | None, scope: Scope) -> Value:
        first, *rest = command
        if isinstance(first, Function):
            if first.name == "len" and len(rest) == 1 and (spaces := _padded(rest[0])):
                count = self._operand(spaces[1], scope).code
                return Value(f"({count} + {spaces[0]})", Kind.NUMBER)
            arguments = [self._operand(operand, scope) for operand in rest]
            return self.functions.call(first.name, arguments + ([piped] if piped else []))
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
                return self.functions.call(operand.name, [])
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
    text = f"{value:f}" if value % 1 else str(int(value))
    return Value(f"({text})" if value < 0 else text, Kind.NUMBER)
