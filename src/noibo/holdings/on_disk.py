"""What `noibo run` keeps in this home: saved conversations, and the lines that were typed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from noibo.holdings.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Kept:
    """One such file."""

    path: Path
    excerpt: str = ""


def kept(home: Path) -> Iterator[Path]:
    """All such files."""
    yield from sorted((home / "conversations").glob("*.json"))
    if (home / "history").is_file():
        yield home / "history"


def naming(home: Path, wanted: Wanted) -> list[Kept]:
    """Those that name somebody."""
    found = []
    for path in kept(home):
        text = wanted.within_json(_value(path))
        if text:
            found.append(Kept(path, wanted.excerpt(text)))
    return found


def blank(path: Path, wanted: Wanted) -> None:
    """Replace somebody in one of them."""
    value = wanted.blank_json(_value(path))
    data = value.encode() if isinstance(value, str) else msgspec.json.format(
        msgspec.json.encode(value), indent=1)  # fmt: skip
    fresh = path.with_name(f"{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    fresh.replace(path)


def _value(path: Path) -> Any:
    """A conversation as JSON; what is none, as one text."""
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            return msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
    return data.decode("utf-8", "replace")
