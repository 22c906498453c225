'''Modelfiles: what Ollama's users write to say how a model is made from another one.

    FROM llama3.2
    PARAMETER temperature 0.7
    SYSTEM """You are Mario."""

A value is the rest of its line, or stands in quotation marks, one or three, over as many lines as
it takes; nothing in them is escaped. Instructions may be written small. After ollama/ollama,
`parser/parser.go`.
'''

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from noibo.errors import InvalidRequest

LONGEST: Final = 2**22
INSTRUCTIONS: Final = (
    *("from", "parameter", "system", "template", "adapter", "message", "license"),
    *("renderer", "parser", "requires", "draft"),
)
ROLES: Final = ("system", "user", "assistant")
_NAMED: Final = frozenset({"parameter", "message"})  # a name comes before the value
_WORD: Final = re.compile(r"[A-Za-z]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_REST: Final = re.compile(r"[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction: its word in small letters, the name of a PARAMETER or the role of a MESSAGE,
    the value, and its line."""

    word: str
    name: str
    value: str
    line: int


def parse(text: str) -> tuple[Command, ...]:
    """The instructions of a Modelfile. Raises `InvalidRequest` with the line that is wrong."""
    if len(text) > LONGEST:
        raise InvalidRequest(f"The Modelfile is longer than {LONGEST:,}.", param="modelfile")
    found = tuple(_Reader(text.removeprefix("\ufeff")).commands())
    if not any(command.word == "from" for command in found):
        raise InvalidRequest(
            "The Modelfile has no FROM line.",
            param="modelfile",
            next_step="Begin with FROM and the name of a model.",
        )
    return found


@dataclass(slots=True)
class _Reader:
    """Where one reading is."""

    text: str
    at: int = 0
    line: int = 1
    counted: int = 0  # how far lines have been

    def commands(self) -> Iterator[Command]:
        while True:
            self._skip(_BLANK)
            if self.at == len(self.text):
                return
            yield self._command()

    def _command(self) -> Command:
        line = self._line()
        word = self._take(_WORD).lower()
        if word not in INSTRUCTIONS:
            known = ", ".join(one.upper() for one in INSTRUCTIONS)
            raise _wrong(line, f"an instruction is one of {known}")
        if not self._skip(_SPACE):
            raise _wrong(line, f"{word.upper()} has no value")
        name = self._take(_NAME) if word in _NAMED else ""
        if word in _NAMED and not (name and self._skip(_SPACE)):
            raise _wrong(line, f"{word.upper()} wants a name and a value")
        if word == "message" and name not in ROLES:
            raise _wrong(line, f"the role of a MESSAGE is one of {', '.join(ROLES)}")
        value = self._value(line)
        if not value and word == "from":
            raise _wrong(line, "FROM has no value")
        return Command(word, name, value, line)

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def _value(self, line: int) -> str:
        for mark in ('"""', '"'):
            if self.text.startswith(mark, self.at):
                return self._quoted(mark, line)
        return self._take(_REST).strip()

    def _quoted(self, mark: str, line: int) -> str:
        """Up to the mark that ends a line: others are part of the value."""
        ending = re.compile(re.escape(mark) + r"[ \t]*(?=[\r\n]|$)")
        found = ending.search(self.text, self.at + len(mark))
        if found is None:
            raise _wrong(line, f"a value begins with {mark} and does not end")
        value = self.text[self.at + len(mark) : found.start()]
        self.at = found.end()
        return value

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        return self._take(pattern)


def typed(value: str) -> Any:
    """A PARAMETER's value as JSON would have it: a number, a switch, else the text."""
    low = value.lower()
    if low in {"true", "false"}:
        return low == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def written(word: str, name: str, value: str) -> str:
    """One instruction as text that `parse` reads back."""
    head = f"{word.upper()} {name}".strip()
    return f"{head} {quoted(value)}"


def quoted(value: str) -> str:
    """A value with the quotation marks it needs."""
    if value == value.strip() and "\n" not in value and "\r" not in value and value[:1] != '"':
        return value
    return f'"""{value}"""'


def parameters(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Parameters as Ollama writes them, one for each line: names, and values as text."""
    for name, value in found.items():
        for one in value if isinstance(value, list) else [value]:
            said = str(one).lower() if isinstance(one, bool) else str(one)
            yield name, said


def _wrong(line: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"The Modelfile, line {line}: {what}.", param="modelfile")
