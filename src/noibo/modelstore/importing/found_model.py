"""What was found of other programs' models: where, by which name, whole or not. No store here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from noibo.errors import NoiboError
from noibo.modelstore.manifest import Licence, Provenance
from noibo.modelstore.offer import Defaults, Role
from noibo.modelstore.reference import Reference

Program = Literal["Ollama", "Hugging Face", "LM Studio", "llama.cpp", "Jan", "GPT4All", "a folder"]
# What is put behind the tag of a model whose name another one has.
SUFFIXES: Final[dict[Program, str]] = {
    "Ollama": "ollama",
    "Hugging Face": "hub",
    "LM Studio": "lmstudio",
    "llama.cpp": "llamacpp",
    "Jan": "jan",
    "GPT4All": "gpt4all",
    "a folder": "folder",
}


# What a damaged or hostile file may come to, whoever reads it: that model's matter, no other's.
DAMAGE: Final = (NoiboError, ValueError, ArithmeticError, RecursionError)


def phrase(fault: Exception) -> str:
    """What is wrong with a model, for its row."""
    if not isinstance(fault, NoiboError):
        return f"what it says of itself cannot be read ({type(fault).__name__})"
    return f"{fault.message[:1].lower()}{fault.message[1:]}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to look in. What stands in one that was `named` on the command line may come from
    anybody: its word on what its files hold counts for its own models only."""

    program: Program
    path: Path
    named: bool = False


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a model. `sha256` is what its program calls it by; nobody has checked it."""

    role: Role
    name: str
    path: Path
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that looks whole. `path` is what makes it one: a manifest, a snapshot, a file."""

    place: Place
    name: str
    reference: Reference
    path: Path
    files: tuple[FoundFile, ...]
    origin: str = ""  # what to type to fetch it, where that can be known
    licence: Licence = Licence()
    defaults: Defaults = Defaults()
    notes: tuple[str, ...] = ()  # what could not be taken over

    @property
    def size(self) -> int:
        return sum(one.size for one in self.files)

    @property
    def provenance(self) -> Provenance:
        source = f"{self.place.program}'s {self.name} at {self.path}"
        return Provenance(source, self.origin, self.licence, self.defaults)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is there and is no model that could be used, and why."""

    place: Place
    name: str
    status: Literal["incomplete", "damaged", "left out", "same file", "no access"]
    why: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was found in some places."""

    places: tuple[Place, ...]
    models: tuple[FoundModel, ...]
    left_out: tuple[LeftOut, ...]


def is_imported(source: str) -> bool:
    """True for the source of a model that came in this way."""
    return any(source.startswith(f"{program}'s ") for program in SUFFIXES)


def program_of(source: str) -> str:
    """The program that such a source names."""
    return source.partition("'s ")[0]
