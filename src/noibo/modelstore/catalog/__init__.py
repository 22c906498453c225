"""What noibo knows how to fetch by name: the data in `catalog/data/`, read once.

A name means a family, a size and a quantisation (`llama3:70b-q8_0`); what is left out is the
first size and that size's default. Ollama's long tags (`llama3:8b-instruct-q4_K_M`) and the names
that model repositories have (`Qwen/Qwen2.5-7B-Instruct`) mean the same models.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from importlib import resources

import msgspec
from packaging.utils import canonicalize_name

from noibo.errors import UnknownModel
from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.catalog import search as catalog_search
from noibo.modelstore.catalog import tags as catalog_tags
from noibo.modelstore.catalog.choice import CatalogOrigin, Choice, hosted
from noibo.modelstore.catalog.entry import (
    CheckpointPlace,
    Family,
    HubPlace,
    KnownFile,
    Model,
    OllamaPlace,
    PackagePlace,
    Size,
    Text,
)
from noibo.modelstore.catalog.search import Hit
from noibo.modelstore.offer import Defaults
from noibo.modelstore.origin import Hub, Origin, Package, Registry
from noibo.modelstore.reference import DEFAULT_TAG, Reference


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Every family. `publishers` are the quantisations that a publisher's repositories all have,
    `templates` the chat templates by name."""

    schema: int
    families: tuple[Family, ...]
    publishers: dict[str, tuple[str, ...]] = {}
    templates: dict[str, str] = {}

    @property
    def models(self) -> Iterator[Model]:
        """Every size of every family, in order; a family that is only an API once."""
        for family in self.families:
            if family.sizes:
                yield from (Model(family, size) for size in family.sizes)
            else:
                yield Model(family)

    def resolve(self, reference: Reference) -> Choice | None:
        """What `reference` means, or None for a name that is not known here.

        Raises `UnknownModel` for a known family that has no such size or quantisation."""
        if found := self._upstream.get((reference.namespace, reference.name)):
            rest = "" if reference.tag == DEFAULT_TAG else reference.tag
            return self._choose(found, rest, reference) if found.size else hosted(found)
        family = self._named.get(reference.name)
        if family is None or reference.short != reference.name:
            return None
        if not family.sizes:
            return hosted(Model(family))
        for size, rest in catalog_tags.split(family, reference.tag):
            choice = self._choose(Model(family, size), rest, reference)
            if choice is not None:
                return choice
        if catalog_tags.names_no_size(family, reference.tag):
            raise _no_such_size(family, reference)
        return None

    def find(self, reference: Reference) -> Choice | None:
        """As `resolve`, and None too for a size or quantisation that is not known."""
        try:
            return self.resolve(reference)
        except UnknownModel:
            return None

    def require(self, reference: Reference) -> Choice:
        """As `resolve`; a name that is not known raises `UnknownModel` with the nearest ones."""
        found = self.resolve(reference)
        if found is not None:
            return found
        near = self.nearest(reference)
        names = ", ".join(f"`noibo pull {name}`" for name in near)
        raise UnknownModel(
            f"No source is known for a model named {reference}.",
            next_step=(f"Did you mean {names}? " if near else "")
            + "`noibo search WORDS` finds others; for a file you have: `noibo add FILE.gguf`.",
        )

    def nearest(self, reference: Reference, count: int = 3) -> list[str]:
        """Names that are like this one, the likest first."""
        known = [model.name for model in self.models]
        names = difflib.get_close_matches(reference.name, self._named, n=count, cutoff=0.6)
        whole = difflib.get_close_matches(str(reference), known, n=count, cutoff=0.6)
        families = [
            Model(f, f.sizes[0] if f.sizes else None).name
            for f in map(self._named.__getitem__, names)
        ]
        return list(dict.fromkeys((*whole, *families)))[:count]

    def search(self, words: str) -> list[Hit]:
        """The families that fit words in English or Vietnamese, best first."""
        return catalog_search.find(self.models, words)

    def place_of(self, origin: Origin) -> Choice | None:
        """What a place that was named outright is known to hold, if it is one of ours."""
        for model in self.models:
            for place in model.size.places if model.size else ():
                for quantisation in place.has(self.publishers):
                    if model.size and _is_same_place(place.origin(quantisation), origin):
                        return self._choice(model, model.size, quantisation)
        return None

    def quantisations(self, model: Model) -> tuple[str, ...]:
        """What `model` can be had in, the default first."""
        if model.size is None:
            return ()
        has = (name for place in model.size.places for name in place.has(self.publishers))
        return (model.size.default, *q.ordered(set(has) - {model.size.default}))

    def _choose(self, model: Model, rest: str, asked: Reference) -> Choice | None:
        """The choice for a size and the rest of a tag; None if the rest says nothing known."""
        if model.size is None:
            return None
        here = self.quantisations(model)
        wanted = q.parse(rest) if rest else (model.size.default,)
        for name in wanted:
            if name in here:
                return self._choice(model, model.size, name)
        if wanted or q.looks_like_one(rest):
            raise UnknownModel(
                f"{model.name} is not to be had in {rest.upper()}.",
                next_step=f"There is {', '.join(here)}: `noibo pull "
                f"{catalog_tags.canonical(model.family, model.size, here[0])}`. "
                f"Another source: `noibo search {asked.name}`.",
            )
        return None

    def _choice(self, model: Model, size: Size, quantisation: str) -> Choice:
        origins = tuple(
            CatalogOrigin(
                place.origin(quantisation),
                getattr(place, "file", None),
                getattr(place, "gated", False),
            )
            for place in size.places
            if quantisation in place.has(self.publishers)
        )
        own = catalog_tags.canonical(model.family, size, quantisation)
        here = self.quantisations(model)
        names = catalog_tags.every_name(model.family, size, quantisation, here)
        template = self.templates[model.template] if model.template else None
        stop = list(model.family.stop)
        return Choice(
            own,
            model,
            quantisation,
            origins,
            Defaults(template=template, parameters={"stop": stop} if stop else {}),
            tuple(dict.fromkeys(name for name in names if name != own)),
        )

    @functools.cached_property
    def _named(self) -> dict[str, Family]:
        named = ((name, family) for family in self.families for name in catalog_tags.names(family))
        return dict(named)

    @functools.cached_property
    def _upstream(self) -> dict[tuple[str, str], Model]:
        """Names of repositories, folded as references are, to what is in them."""
        found: dict[tuple[str, str], Model] = {}
        for model in self.models:
            for name in catalog_tags.upstream(model):
                found.setdefault(name, model)
        return found


def _is_same_place(known: Origin, origin: Origin) -> bool:
    """True if both are of one repository, package or model, whatever the file or version."""
    match known, origin:
        case Hub(repo=one), Hub(repo=other):
            return one.lower() == other.lower()
        case Package(package=one), Package(package=other):
            return canonicalize_name(one) == canonicalize_name(other)
        case Registry(reference=one), Registry(reference=other):
            return one == other
    return False


def _no_such_size(family: Family, asked: Reference) -> UnknownModel:
    sizes = ", ".join(size.tag for size in family.sizes)
    return UnknownModel(
        f"{family.title} has no {asked.tag}.",
        next_step=f"There is {sizes}: `noibo pull {family.name}:{family.sizes[0].tag}`. "
        f"Ollama's library may have it: `noibo pull ollama.com/library/{asked}`.",
    )


@functools.cache
def load() -> Catalog:
    """The catalogue that noibo ships."""
    folder = resources.files("noibo.modelstore.catalog").joinpath("data")
    parts = sorted(folder.joinpath("families").iterdir(), key=lambda file: file.name)
    families = [
        msgspec.json.decode(part.read_bytes(), type=tuple[Family, ...])
        for part in parts
        if part.name.endswith(".json")
    ]
    publishers = msgspec.json.decode(
        folder.joinpath("publishers.json").read_bytes(), type=dict[str, tuple[str, ...]]
    )
    templates = {
        file.name.removesuffix(".jinja"): file.read_text(encoding="utf-8")
        for file in folder.joinpath("templates").iterdir()
        if file.name.endswith(".jinja")
    }
    return Catalog(2, tuple(one for part in families for one in part), publishers, templates)


__all__ = [
    "Catalog",
    "CatalogOrigin",
    "CheckpointPlace",
    "Choice",
    "Family",
    "Hit",
    "HubPlace",
    "KnownFile",
    "Model",
    "OllamaPlace",
    "PackagePlace",
    "Size",
    "Text",
    "load",
]
