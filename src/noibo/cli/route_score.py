"""`noibo route score`: how likely the local model is right, for prompts by the line."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from noibo.errors import UsageError

_NAMED: Final = 10  # lines that cannot be scored
_FORM: Final = '{"id": "1", "prompt": "Thủ đô của Việt Nam là gì?"}'


def score(
    json: Annotated[
        str, typer.Option("--json", help="File of JSON lines of id and prompt; - reads a pipe.")
    ] = "-",
    reasons: Annotated[bool, typer.Option("--reasons", help="Say why, too.")] = False,
) -> None:
    """Say how likely the local model is right, and the class, for each prompt. A line that cannot
    be scored is named, and those after it are scored all the same."""
    from noibo.routing.complexity import ComplexityClassifier
    from noibo.routing.features import Query

    classifier = ComplexityClassifier()
    if classifier.broken:
        print(f"By rules alone: {classifier.broken}.", file=sys.stderr)
    unreadable = 0
    for read in _lines(json):
        if isinstance(read, str):
            unreadable += 1
            if unreadable <= _NAMED:
                print(read, file=sys.stderr)
            continue
        id_, prompt = read
        found = classifier.weigh(Query(prompt))
        row: dict[str, Any] = {"id": id_, "p_local": round(found.p_local, 6), "class": found.label}
        if reasons:
            row["reasons"] = found.reasons()
        # In ASCII, since any text can be said in it; at once, since somebody may wait for a line.
        print(jsonlib.dumps(row), flush=True)
    if unreadable:
        lines = "One line" if unreadable == 1 else f"{unreadable} lines"
        raise UsageError(f"{lines} could not be scored.", next_step=f"One on each line: {_FORM}")


def _lines(place: str) -> Iterator[tuple[Any, str] | str]:
    if place == "-":
        yield from _read(sys.stdin.buffer, "standard input")
        return
    try:
        with Path(place).open("rb") as lines:
            yield from _read(lines, place)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be read: {error.strerror}.", next_step="noibo route score --json FILE"
        ) from None


def _read(lines: Iterable[bytes], place: str) -> Iterator[tuple[Any, str] | str]:
    """Id and prompt of each line; of one that has none, what is wrong with it."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            # A byte order mark is what some editors begin a file with.
            row = jsonlib.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:
            yield _unreadable(place, number, f"it is not JSON ({error})")
            continue
        if not isinstance(row, dict) or "id" not in row:
            yield _unreadable(place, number, "it has no id")
        elif not isinstance(row.get("prompt"), str):
            yield _unreadable(place, number, "its prompt is not a text")
        else:
            yield row["id"], row["prompt"]


def _unreadable(place: str, number: int, why: str) -> str:
    return f"Line {number} of {place} cannot be scored: {why}."
