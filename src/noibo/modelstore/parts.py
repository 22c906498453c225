"""GGUF models split into several files: `NAME-00001-of-00003.gguf` and so on (llama.cpp's own).

All parts are taken together, or none: a model with a part missing does not load.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from noibo.errors import NotOffered

MAX_PARTS: Final = 999
_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.\w+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a split model, by its path: part `number` of `count`."""

    stem: str  # with the folder
    number: int
    count: int
    ending: str

    @classmethod
    def of(cls, path: str) -> Part | None:
        """None for a path that is no part of anything."""
        match = _PART.fullmatch(path)
        if match is None:
            return None
        return cls(match["stem"], int(match["number"]), int(match["count"]), match["ending"])

    def path(self, number: int) -> str:
        """The path of another part of the same model."""
        return f"{self.stem}-{number:05}-of-{self.count:05}{self.ending}"


def whole(path: str, there: Collection[str]) -> tuple[str, ...]:
    """`path`, or every part of the model that it is a part of, in order.

    Raises `NotOffered` when a part is not `there`."""
    part = Part.of(path)
    if part is None:
        return (path,)
    if not 1 <= part.number <= part.count <= MAX_PARTS:
        raise NotOffered(f"{path} is no part of a model that could be: {part.count} parts.")
    paths = tuple(part.path(number) for number in range(1, part.count + 1))
    missing = [one for one in paths if one not in there]
    if missing:
        raise NotOffered(
            f"{path} is one of {part.count} parts, of which {len(missing)} are not there: "
            f"{missing[0]}{' …' if len(missing) > 1 else ''}",
            next_step="Perhaps it is still being uploaded; else take another quantisation.",
        )
    return paths
