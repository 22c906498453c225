"""What `noibo run` keeps in this home: saved conversations, and the lines that were typed.

A conversation is called as somebody called it, so that its name is looked at too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo.holdings.wanted import ERASED, Wanted

_FRESH: Final = "erasing.new"  # on its way to one of them


@dataclass(frozen=True, slots=True)
class Kept:
    """One such file."""

    path: Path
    excerpt: str = ""


def kept(home: Path) -> Iterator[Path]:
    """All such files; those too that a process left half written when it was killed."""
    found = (*(home / "conversations").glob("*"), home / "history", home / _FRESH)
    yield from sorted(path for path in found if path.is_file())


def naming(home: Path, wanted: Wanted) -> list[Kept]:
    """Those that name somebody."""
    found = []
    for path in kept(home):
        text = wanted.within_json([path.stem, _value(path)])
        if text:
            found.append(Kept(path, wanted.excerpt(text)))
    return found


def calls_wait(home: Path, name: str) -> bool:
    """True if calls of a user or a key are in a journal, on their way into the database: a server
    brings them in within seconds, and what a dead one left comes in with the next."""
    for path in sorted((home / "usage").glob("*.jsonl")):
        with contextlib.suppress(FileNotFoundError):  # it was brought in at this moment
            lines = path.read_bytes().splitlines()
            if any(_owner(line) == name for line in lines if name.encode() in line):
                return True
    return False


def _owner(line: bytes) -> Any:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found.get("owner") if isinstance(found, dict) else None


def blank(path: Path, wanted: Wanted) -> None:
    """Replace somebody in one of them, and in what it is called."""
    if path.name == _FRESH:  # of an erasure that was killed: what it was made of is there too
        path.unlink(missing_ok=True)
        return
    value = wanted.blank_json(_value(path))
    data = value.encode() if isinstance(value, str) else msgspec.json.format(
        msgspec.json.encode(value), indent=1)  # fmt: skip
    fresh = path.with_name(_FRESH)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    there = _called(path, wanted)
    fresh.replace(there)
    if there != path:
        path.unlink()


def _called(path: Path, wanted: Wanted) -> Path:
    """What the file is to be called: its own name, or one that is free."""
    stem = wanted.blank(path.stem)
    if stem == path.stem:
        return path
    stem = stem.replace(ERASED, ERASED.strip("[]"))  # as `/load` takes it
    names = itertools.chain((stem,), (f"{stem} {number}" for number in itertools.count(2)))
    return next(there for name in names if not (there := path.with_stem(name)).exists())


def _value(path: Path) -> Any:
    """A conversation as JSON; what is none, as one text."""
    data = path.read_bytes()
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return data.decode("utf-8", "replace")
