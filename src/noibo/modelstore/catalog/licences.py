"""Which licence a model has, of which kind, and what that means for a company.

Sources say it in four ways: an SPDX id, a hub's id (`llama3.1`), a title, or the whole text. Text
is recognised by its title and by phrases that no other licence has; where several fit (a text can
quote another), the strictest counts. `data/licences.json` is the list.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal, get_args

import msgspec

from noibo.errors import LicenceRefused
from noibo.modelstore.printable import shown

# From the most generous to the strictest; what cannot be judged comes last.
Kind = Literal[
    "permissive",
    "copyleft",
    "rail",
    "gemma",
    "llama",
    "community",
    "research",
    "non-commercial",
    "proprietary",
    "other",
    "unknown",
]
Language = Literal["en", "vi"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

_LONGEST_NAME: Final = 120
_LONGEST_TEXT: Final = 200_000
_HEAD: Final = 300  # characters in which a title stands
_FILLING: Final = frozenset(
    {"license", "licence", "licensed", "the", "version", "agreement", "under"}
)


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence: `means` says in one line, by language ("en", "vi"), what a company may do."""

    id: str
    name: str
    kind: Kind
    means: Mapping[Language, str]
    link: str | None = None


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    marks: tuple[tuple[str, ...], ...] = ()  # any of these sets of phrases, all of one set
    means: dict[Language, str] | None = None
    link: str | None = None


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: dict[Kind, dict[Language, str]]
    licences: tuple[_Entry, ...]


def classify(text: str | None) -> Licence:
    """The licence that an id, a title or a whole text means. A stranger's text: nothing is
    trusted of it but what is recognised."""
    said = (text or "")[:_LONGEST_TEXT].strip()
    if not said:
        return _by_name()["unknown"]
    if "\n" not in said and len(said) <= _LONGEST_NAME:
        return _by_name().get(_plain(said)) or _other(said)
    found = list(_recognised(" ".join(said.lower().split())))
    if found:
        return max(found, key=lambda licence: KINDS.index(licence.kind))
    return _other(next(line for line in said.splitlines() if line.strip()))


def every() -> tuple[Licence, ...]:
    """All licences that are known by name."""
    return tuple(_licence(entry) for entry in _read().licences)


def kinds() -> dict[str, str]:
    """Every kind, from the most generous to the strictest, and what it means for a company."""
    return {kind: _read().kinds[kind]["en"] for kind in get_args(Kind)}


def require_allowed(licence: Licence, allowed: Sequence[str], model: str) -> None:
    """Raise `LicenceRefused` unless `allowed` is empty or lists the licence, or its kind."""
    words = {_plain(word) for word in allowed}
    named = {_by_name()[word].id for word in words if word in _by_name()}
    if not words or licence.kind in words or licence.id in words | named:
        return
    more = [*allowed, licence.id if licence.kind in {"other", "unknown"} else licence.kind]
    raise LicenceRefused(
        f"{model} has the licence {licence.name!r} of kind {licence.kind!r}, which the setting "
        f"licences.allowed ({', '.join(allowed)}) does not list. {licence.means['en']}"
        + _misspelt(allowed),
        next_step="If your company may use it, allow it in noibo.toml: [licences] allowed = "
        f"{msgspec.json.encode(more).decode()}, or once: "
        f"NOIBO_LICENCES_ALLOWED={','.join(more)} noibo pull {model}.",
    )


def _misspelt(allowed: Sequence[str]) -> str:
    for word in allowed:
        near = difflib.get_close_matches(_plain(word), KINDS, n=1, cutoff=0.75)
        if near and near[0] != _plain(word) and _plain(word) not in _by_name():
            return f" ({word!r} is no kind of licence; did you mean {near[0]!r}?)"
    return ""


def _other(said: str) -> Licence:
    name = shown(" ".join(said.split())[:_LONGEST_NAME])
    other = _by_name()["other"]
    return Licence(_plain(name) or other.id, name, other.kind, other.means)


def _recognised(text: str) -> Iterator[Licence]:
    for entry in _read().licences:
        if any(all(_has(text, phrase) for phrase in marks) for marks in entry.marks):
            yield _licence(entry)


def _has(text: str, phrase: str) -> bool:
    """`phrase` anywhere, or `^phrase` where a title stands."""
    return phrase[1:] in text[:_HEAD] if phrase.startswith("^") else phrase in text


def _licence(entry: _Entry) -> Licence:
    means = entry.means or _read().kinds[entry.kind]
    return Licence(entry.id, entry.name, entry.kind, means, entry.link)


@functools.cache
def _read() -> _List:
    folder = resources.files("noibo.modelstore.catalog").joinpath("data")
    return msgspec.json.decode(folder.joinpath("licences.json").read_bytes(), type=_List)


@functools.cache
def _by_name() -> dict[str, Licence]:
    return {
        _plain(name): _licence(entry)
        for entry in _read().licences
        for name in (entry.id, entry.name, *entry.aliases)
    }


def _plain(name: str) -> str:
    """`Apache License, Version 2.0` and `apache-2.0` alike."""
    words = re.split(r"[^a-z0-9.+/]+", name.lower())
    kept = [re.sub(r"^v(?=\d)", "", word) for word in words if word and word not in _FILLING]
    return "-".join(kept)
