"""What the catalogue says of a model: the schema of its data files.

A `Family` is a name one types (`llama3`), with its sizes (`8b`, `70b`); a `Size` may say anything
anew that the family says of all. A `Place` is where a size can be had, in which quantisations.
Unknown keys are refused, so that a typing error in the data is never silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.origin import Hub, Origin, Package, Registry
from noibo.modelstore.reference import Reference

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(gt=0)]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Language = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$")]
Day = Annotated[str, msgspec.Meta(pattern=r"^20\d\d-[01]\d(-[0-3]\d)?$")]
# completion: goes on with a text, and was not taught to answer (a base model).
Ability = Literal["chat", "completion", "tools", "vision", "audio", "thinking", "embedding", "code"]
Publishers: TypeAlias = dict[str, tuple[str, ...]]

DEFAULT_QUANTISATION: Final = "Q4_K_M"


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Text(_Data, frozen=True):
    """The same in English and in Vietnamese, one line each."""

    en: str
    vi: str


class KnownFile(_Data, frozen=True):
    """The exact bytes: nothing else is accepted under this name."""

    size: Bytes
    sha256: Sha256


class PackagePlace(_Data, frozen=True, tag="package", tag_field="kind"):
    """A file in a wheel of the package index, or in parts in several. Never installed or run."""

    package: str
    version: str
    quantisation: str
    file: KnownFile
    member: str | None = None

    def has(self, publishers: Publishers) -> tuple[str, ...]:
        return (self.quantisation,)

    def origin(self, quantisation: str) -> Origin:
        return Package(self.package, self.version, self.member)


class HubPlace(_Data, frozen=True, tag="hub", tag_field="kind"):
    """A repository of GGUF files on Hugging Face; `quantisations` where it is not what its
    publisher always has, `files` where a name does not say which it is. `gated`: one must sign in
    and accept the licence first."""

    repo: str
    quantisations: tuple[str, ...] = ()
    files: dict[str, str] = {}
    gated: bool = False

    def has(self, publishers: Publishers) -> tuple[str, ...]:
        listed = self.quantisations or tuple(self.files)
        return listed or publishers.get(self.repo.partition("/")[0], ())

    def origin(self, quantisation: str) -> Origin:
        if file := self.files.get(quantisation):
            return Hub(self.repo, file=file)
        return Hub(self.repo, quantisation)


class OllamaPlace(_Data, frozen=True, tag="ollama", tag_field="kind"):
    """A model of Ollama's library. The tag `model` names holds `quantisation`; others have tags
    of their own, which begin with `long` (`8b-instruct` gives `8b-instruct-q8_0`)."""

    model: str  # NAME:TAG, or NAMESPACE/NAME:TAG
    quantisation: str
    long: str | None = None
    quantisations: tuple[str, ...] = ()

    def has(self, publishers: Publishers) -> tuple[str, ...]:
        others = self.quantisations or publishers.get("ollama", ())
        return tuple(dict.fromkeys((self.quantisation, *(others if self.long else ()))))

    def origin(self, quantisation: str) -> Origin:
        plain = Reference.parse(self.model)
        if quantisation == self.quantisation:
            return Registry(plain)
        word = "fp16" if quantisation == "F16" else quantisation
        tag = f"{self.long}-{word}".lower()
        return Registry(Reference(plain.name, tag, plain.namespace))


class CheckpointPlace(_Data, frozen=True, tag="checkpoint", tag_field="kind"):
    """The maker's own repository: safetensors, as they were trained."""

    repo: str
    quantisation: str = "BF16"
    gated: bool = False

    def has(self, publishers: Publishers) -> tuple[str, ...]:
        return (self.quantisation,)

    def origin(self, quantisation: str) -> Origin:
        return Hub(self.repo)


Place: TypeAlias = PackagePlace | HubPlace | OllamaPlace | CheckpointPlace


class Size(_Data, frozen=True):
    """One size of a family. `parameters` is a count; `active` those used for one token."""

    tag: Tag
    parameters: Count
    active: Count | None = None
    default: str = DEFAULT_QUANTISATION
    aliases: tuple[str, ...] = ()  # tags of the family, or whole names with another namespace
    places: tuple[Place, ...] = ()
    released: Day | None = None
    licence: str | None = None
    languages: tuple[Language, ...] | None = None
    abilities: tuple[Ability, ...] | None = None
    context: Count | None = None
    best_for: Text | None = None
    template: str | None = None


class Family(_Data, frozen=True):
    """A name one types, and what is true of all its sizes unless a size says otherwise.

    The first size is the one without a tag. `variant` are the words that Ollama's tags have for
    what is here the plain size (`8b-instruct`). `languages` are those its maker names as
    supported, as BCP 47 tags, `mul` first where there are too many to name; `context` in tokens.
    `template` names a file of `templates/`, for models whose files hold none; `stop` ends an
    answer.
    """

    name: Tag
    title: str
    maker: str
    released: Day
    licence: str
    languages: tuple[Language, ...]
    abilities: tuple[Ability, ...]
    strengths: Text
    best_for: Text
    context: Count | None = None  # unknown for some that are only an API
    sizes: tuple[Size, ...] = ()
    aliases: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    template: str | None = None
    stop: tuple[str, ...] = ()
    api_only: bool = False
    note: Text | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One size, with what its family says where it says nothing itself. `size` is None for what
    is only an API."""

    family: Family
    size: Size | None = None

    @property
    def name(self) -> str:
        return f"{self.family.name}:{self.size.tag}" if self.size else self.family.name

    @property
    def licence(self) -> str:
        return (self.size and self.size.licence) or self.family.licence

    @property
    def languages(self) -> tuple[str, ...]:
        own = self.size.languages if self.size else None
        return self.family.languages if own is None else own

    @property
    def abilities(self) -> tuple[Ability, ...]:
        own = self.size.abilities if self.size else None
        return self.family.abilities if own is None else own

    @property
    def context(self) -> int | None:
        return (self.size and self.size.context) or self.family.context

    @property
    def best_for(self) -> Text:
        return (self.size and self.size.best_for) or self.family.best_for

    @property
    def released(self) -> str:
        return (self.size and self.size.released) or self.family.released

    @property
    def template(self) -> str | None:
        own = self.size.template if self.size else None
        return self.family.template if own is None else own

    @property
    def parameters(self) -> int | None:
        return self.size.parameters if self.size else None

    @property
    def memory(self) -> int | None:
        """About how many bytes the weights of the default quantisation take."""
        if self.size is None:
            return None
        for place in self.size.places:
            if isinstance(place, PackagePlace) and place.quantisation == self.size.default:
                return place.file.size
        return q.memory(self.size.parameters, self.size.default)
