"""The functions that Ollama's templates can call, as Jinja expressions over their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from noibo.modelstore.ollama.go_kinds import ELEMENTS, MAPS, Kind, Value, as_json, printed, quoted
from noibo.modelstore.ollama.go_lexer import UntranslatableTemplate

LONGEST: Final = 20_000  # of one expression; some name an argument twice, and can be nested

_COMPARE: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_VERB: Final = re.compile(r"%(.)")


@dataclass(slots=True)
class Functions:
    """Calls functions by name; `macros` gathers those of `go_prelude` that are in use."""

    macros: set[str] = field(default_factory=set)

    def printed(self, value: Value) -> str:
        """The text that Go prints for `value`, as an expression."""
        code = printed(value)
        if code is None:
            raise UntranslatableTemplate("it prints a whole structure of Go's")
        if value.kind in {Kind.ANY, Kind.LIST}:
            self.macros.update({"go_list", "go_text"} if value.kind is Kind.LIST else {"go_text"})
        return code

    def call(self, name: str, given: list[Value]) -> Value:
        """What the function gives; raises `UntranslatableTemplate`."""
        if any(value.kind is Kind.ROOT for value in given):
            raise UntranslatableTemplate("it asks something of everything at once")
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
    if len(first) * len(others) > LONGEST:
        raise UntranslatableTemplate("an expression is too long")
    code = " or ".join(f"{first} {_COMPARE[name]} {other}" for other in others)
    return Value(f"({code})", Kind.BOOL)


def _negated(given: list[Value]) -> Value:
    return Value(f"(not {_only(given, 'not').code})", Kind.BOOL)


def _length(given: list[Value]) -> Value:
    return Value(f"({_only(given, 'len').code} | length)", Kind.NUMBER)


def _json(given: list[Value]) -> Value:
    value = _only(given, "json")
    if value.kind in {Kind.MESSAGES, Kind.MESSAGE}:
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
