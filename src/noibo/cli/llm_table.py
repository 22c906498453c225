"""The table [llm] of noibo.toml, changed line by line: all else in the file stays. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from noibo.errors import SettingsError

_HEADER: Final = re.compile(r"\s*\[\s*llm\s*\]\s*(?:#.*)?")
_ANY_HEADER: Final = re.compile(r"\s*\[")


def table_of(text: str) -> dict[str, Any]:
    """What the table says."""
    found = tomllib.loads(text).get("llm", {})
    return found if isinstance(found, dict) else {}


def with_table(text: str, values: Mapping[str, Any]) -> str:
    """The same file with these values in the table. Raises `SettingsError` where that cannot be
    done line by line; the file is as it was then."""
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if _HEADER.fullmatch(line)), None)
    if first is None:
        lines += [*([""] if lines else []), "[llm]"]
        first = len(lines) - 1
    rest = range(first + 1, len(lines))
    last = next((n for n in rest if _ANY_HEADER.match(lines[n])), len(lines))
    table = lines[first + 1 : last]
    for name, value in values.items():
        _put(table, name, f"{name} = {json.dumps(value, ensure_ascii=False)}")
    fresh = "\n".join([*lines[: first + 1], *table, *lines[last:]]) + "\n"
    if not _is_right(text, fresh, values):
        raise SettingsError(
            "The table [llm] of noibo.toml is written in a way that is not changed by a program.",
            next_step="Write into it: "
            + "; ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()),
        )
    return fresh


def _put(table: list[str], name: str, line: str) -> None:
    """Instead of the line that says it, or after the last one that says anything."""
    for number, old in enumerate(table):
        if re.match(rf"\s*{name}\s*=", old):
            table[number] = line
            return
    end = len(table)
    while end and not table[end - 1].strip():
        end -= 1
    table.insert(end, line)


def _is_right(before: str, after: str, values: Mapping[str, Any]) -> bool:
    """True if the new file says the same as the old one, but for the values."""
    try:
        said = tomllib.loads(before)
        table = said.get("llm", {})
        return tomllib.loads(after) == {**said, "llm": {**table, **values}}
    except (tomllib.TOMLDecodeError, TypeError):
        return False
