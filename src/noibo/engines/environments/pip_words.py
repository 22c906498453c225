"""What pip says while it works, and why it gave up. Pure.

pip has no other interface than its lines; one that is not known changes nothing, and an error that
is not known is told by its last lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from noibo.errors import DigestMismatch, DiskFull, FetchError, NoiboError, NotOffered
from noibo.modelstore.printable import shown

LINES_TOLD: Final = 8
_LONGEST: Final = 200
_METADATA: Final = ".metadata"
_FULL: Final = re.compile(r"No space left on device|Disk quota exceeded|Errno (28|122)\b")
_UNITS: Final = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True)
class Step:
    """Where an installation is: `stage` one of skip, make, find, download, cached, build, install,
    try; `what` it is about; bytes, where they are known. `url`: where it comes from, where pip says
    it."""

    stage: str
    what: str = ""
    done: int | None = None
    total: int | None = None
    url: str = ""


def read(line: str, before: Step) -> Step:
    """What a line of pip's changes."""
    line = line.strip()
    for pattern, told in _LINES:
        if found := pattern.match(line):
            return told(found, before)
    return before


def _progress(found: re.Match[str], before: Step) -> Step:
    if before.stage != "download":  # of what a package wants, which is small
        return before
    return replace(before, done=int(found[1]), total=int(found[2]) or None)


def _downloading(found: re.Match[str], before: Step) -> Step:
    said, number, unit = found.groups()
    url = said if said.startswith(("http://", "https://")) else ""
    if said.endswith(_METADATA):  # to find what it wants; the package itself comes later
        return replace(before, url=url)
    total = round(float(number) * _UNITS[unit]) if number else None
    return Step("download", _file_name(said), None, total, url)


def _cached(found: re.Match[str], before: Step) -> Step:
    return before if found[1].endswith(_METADATA) else Step("cached", _file_name(found[1]))


def _installing(found: re.Match[str], before: Step) -> Step:
    count = found[1].count(",") + 1
    return Step("install", f"{count} package{'s' * (count != 1)}")


_LINES: Final[Sequence[tuple[re.Pattern[str], Callable[[re.Match[str], Step], Step]]]] = (
    (re.compile(r"Progress (\d+) of (\d+)$"), _progress),
    (re.compile(r"(?:Using cached|Processing) (\S+)"), _cached),
    (re.compile(r"Downloading (\S+)(?: \(([\d.]+) (bytes|kB|MB|GB)\))?"), _downloading),
    (re.compile(r"Collecting ([\w.\-\[\]]+)"), lambda found, _: Step("find", found[1])),
    (
        re.compile(r"Installing build dependencies"),
        lambda found, _: Step("build", "what it is built with"),
    ),
    (
        re.compile(r"Building wheel for ([\w.\-]+)"),
        lambda found, _: Step("build", found[1]),
    ),
    (re.compile(r"Installing collected packages: (.+)"), _installing),
)


def _file_name(said: str) -> str:
    path = unquote(urlsplit(said).path) if "://" in said else said
    return path.rpartition("/")[2]


# What pip says, and what that is. In this order: the first that is found is the reason.
_REASONS: Final = (
    (
        re.compile(r"DO NOT MATCH THE HASHES|Expected sha\d+|HashMismatch", re.IGNORECASE),
        DigestMismatch,
        "a package is not what its index promised",
        "Try again; if it stays so, its index is damaged, or somebody changes what passes.",
    ),
    (
        _FULL,
        DiskFull,
        "the disk is full",
        "Free some space; the same command begins anew.",
    ),
    (
        re.compile(r"No matching distribution found|Could not find a version"),
        NotOffered,
        "its index has no build for this system and version of Python",
        "See which there are at that index, or set fetch.engine_index to another.",
    ),
    (
        re.compile(r"has an invalid wheel|BadZipFile|IncompleteRead|is not a zip|invalid format"),
        FetchError,
        "a package came damaged or cut short",
        "Try again; `python -m pip cache purge` if it stays so.",
    ),
    (
        re.compile(r"Failed building wheel|subprocess-exited-with-error|Failed to build"),
        FetchError,
        "it could not be compiled",
        "It needs a C++ compiler and cmake (`apt install build-essential cmake`).",
    ),
)


def says_full(text: str) -> bool:
    """Whether a program ended for want of room on the disk."""
    return bool(_FULL.search(text))


def failure(package: str, lines: Sequence[str]) -> NoiboError:
    """Why pip gave up, as an error with its last lines."""
    text = "\n".join(lines)
    kind: type[NoiboError] = FetchError
    why, step = "pip gave up", "pip's last lines say why; its own settings are respected."
    for pattern, error, said, next_step in _REASONS:
        if pattern.search(text):
            kind, why, step = error, said, next_step
            break
    told = kind(f"{package} was not installed: {why}.", next_step=step)
    last = [shown(line, _LONGEST) for line in lines if line.strip()][-LINES_TOLD:]
    told.lines = "\nIts last lines:\n  " + "\n  ".join(last) if last else ""
    return told
