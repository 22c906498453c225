"""The name of a model as the user types it: `name` or `name:tag`.

    smollm2          name smollm2, tag latest
    smollm2:135m     name smollm2, tag 135m

Capitals are folded, as file systems and other tools do. Name and tag become a folder and a file of
the store, so nothing gets through that could mean another place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from noibo.errors import BadReference

DEFAULT_TAG: Final = "latest"
MAX_LENGTH: Final = 80

_PART: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
# Names that Windows keeps for devices, whatever follows the dot.
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A model's name and tag, both lower case and safe as file names."""

    name: str
    tag: str = DEFAULT_TAG

    def __post_init__(self) -> None:
        for part in (self.name, self.tag):
            if not _is_safe(part):
                raise _bad(f"{self.name}:{self.tag}")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `name[:tag]`; raises `BadReference`."""
        if not text.isascii():  # before folding: some letters fold into ASCII
            raise _bad(text)
        name, colon, tag = text.strip().lower().partition(":")
        if not _is_safe(name) or not _is_safe(tag if colon else DEFAULT_TAG):
            raise _bad(text)
        return cls(name, tag if colon else DEFAULT_TAG)

    @classmethod
    def from_file_name(cls, stem: str) -> Reference:
        """The nearest name to that of a file: what cannot be in a name becomes a hyphen."""
        plain = re.sub(r"[^a-z0-9._]+", "-", stem.lower())
        plain = re.sub(r"\.{2,}", ".", plain)[:MAX_LENGTH].strip("._-")
        if not _is_safe(plain):
            raise BadReference(
                f"No model name can be made from the file name {stem!r}.",
                next_step="Give one: `noibo add FILE --name NAME`.",
            )
        return cls(plain)

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def _is_safe(part: str) -> bool:
    return (
        len(part) <= MAX_LENGTH
        and ".." not in part
        and _PART.fullmatch(part) is not None
        and _DEVICE.fullmatch(part) is None
    )


def _bad(text: str) -> BadReference:
    shown = text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"
    return BadReference(
        f"{shown!r} is not a model name.",
        next_step="A name is NAME or NAME:TAG, of letters, digits, dots, hyphens and underscores: "
        "`noibo pull smollm2:135m`.",
    )
