"""What a name came to mean: one model in one quantisation, and where to get it."""

from __future__ import annotations

from dataclasses import dataclass

from noibo.modelstore.catalog import tags as catalog_tags
from noibo.modelstore.catalog.entry import Family, KnownFile, Model
from noibo.modelstore.offer import Defaults
from noibo.modelstore.origin import Origin
from noibo.modelstore.reference import Reference


@dataclass(frozen=True, slots=True)
class CatalogOrigin:
    """One place to try. `file` where the exact bytes are known beforehand."""

    origin: Origin
    file: KnownFile | None = None
    gated: bool = False

    def __str__(self) -> str:
        return str(self.origin)


@dataclass(frozen=True, slots=True)
class Choice:
    """`reference` is its one name in the store, `aliases` are all others; `origins` in the order
    to try, none for what is only an API."""

    reference: Reference
    model: Model
    quantisation: str | None
    origins: tuple[CatalogOrigin, ...]
    defaults: Defaults
    aliases: tuple[Reference, ...]

    @property
    def family(self) -> Family:
        return self.model.family

    @property
    def licence(self) -> str:
        return self.model.licence

    @property
    def api_only(self) -> bool:
        return self.model.family.api_only


def hosted(model: Model) -> Choice:
    """The choice for what is only an API."""
    own, *others = map(Reference, catalog_tags.names(model.family))
    others += [Reference(name, namespace=space) for space, name in catalog_tags.upstream(model)]
    return Choice(own, model, None, (), Defaults(), tuple(others))
