"""`noibo route score`: how likely the local model is right, for prompts by the line."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from noibo.errors import UsageError

_FORM = '{"id": "1", "prompt": "Thủ đô của Việt Nam là gì?"}'


def score(
    json: Annotated[
        str, typer.Option("--json", help="File of JSON lines of id and prompt; - reads a pipe.")
    ] = "-",
    reasons: Annotated[bool, typer.Option("--reasons", help="Say why, too.")] = False,
) -> None:
    """Say how likely the local model is right, and the class, for each prompt."""
    from noibo.routing.complexity import ComplexityClassifier
    from noibo.routing.features import Query

    classifier = ComplexityClassifier()
    if classifier.broken:
        print(f"By rules alone: {classifier.broken}.", file=sys.stderr)
    for id_, prompt in _prompts(json):
        found = classifier.weigh(Query(prompt))
        row: dict[str, Any] = {"id": id_, "p_local": round(found.p_local, 6), "class": found.label}
        if reasons:
            row["reasons"] = found.reasons()
        print(jsonlib.dumps(row, ensure_ascii=False))


def _prompts(place: str) -> Iterator[tuple[Any, str]]:
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


def _read(lines: Iterable[bytes], place: str) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = jsonlib.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:
            raise _unreadable(place, number, f"it is not JSON ({error})") from None
        if not isinstance(row, dict) or "id" not in row:
            raise _unreadable(place, number, "it has no id")
        if not isinstance(row.get("prompt"), str):
            raise _unreadable(place, number, "its prompt is not a text")
        yield row["id"], row["prompt"]


def _unreadable(place: str, number: int, why: str) -> UsageError:
    return UsageError(
        f"Line {number} of {place} cannot be scored: {why}.", next_step=f"One on each line: {_FORM}"
    )
