"""The tree of a Go template (text/template): what stands in it, before anything is meant by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant: text, a number, true, false or nil."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B` of the current dot; the dot itself when there are no names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name.A.B`; the name of the root is empty."""

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name, with which a command begins."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).A.B`."""

    pipe: Pipe
    names: tuple[str, ...]


Operand: TypeAlias = "Constant | Field | Variable | Function | Chain | Pipe"
Command: TypeAlias = tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """`$a, $b := command | command`. `declares` tells `:=` from `=`."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """What is printed as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is printed, or kept in a variable."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` or `range`, and its `else`."""

    word: Literal["if", "with", "range"]
    pipe: Pipe
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...] | None


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    word: Literal["break", "continue"]


Node: TypeAlias = Text | Action | Branch | Jump


def names_of(nodes: tuple[Node, ...]) -> set[str]:
    """Every name of a field or variable, lower case; by these Ollama tells what a template needs.

    What stands behind `(…).` is not seen, as Ollama does not see it either.
    """
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Action | Branch):
            found |= _names_of_pipe(node.pipe)
        if isinstance(node, Branch):
            found |= names_of(node.then) | names_of(node.otherwise or ())
    return found


def _names_of_pipe(pipe: Pipe) -> set[str]:
    found: set[str] = set()
    for operand in (operand for command in pipe.commands for operand in command):
        if isinstance(operand, Field | Variable):
            found |= {name.lower() for name in operand.names}
        elif isinstance(operand, Pipe):
            found |= _names_of_pipe(operand)
    return found
