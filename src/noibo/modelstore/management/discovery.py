"""What there is to fetch, before anything is fetched: the catalogue, and a search on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from noibo.egress import Door
from noibo.errors import NoiboError
from noibo.modelstore import catalog
from noibo.modelstore.catalog import Catalog, Model, licences
from noibo.modelstore.catalog.search import plain
from noibo.settings import Fetch
from noibo.wire.catalog import CatalogRow, HubRow, SearchRow, Use

if TYPE_CHECKING:
    from noibo.modelstore.sources.hub import HubHit


class Discovery:
    """Answers what there is. Only `search` may go outward, and only if it is let."""

    def __init__(self, door: Door, fetch: Fetch) -> None:
        self._door = door
        self._fetch = fetch

    def catalog(self, family: str | None = None, use: Use | None = None) -> list[CatalogRow]:
        """The models noibo knows, of one family and for one use if wanted; perhaps none."""
        known = catalog.load()
        models = [model for model in known.models if use is None or _is_for(model, use)]
        if family is not None:
            models = _of_family(models, family)
        return [_catalog_row(known, model) for model in models]

    def search(self, words: str, hub: bool = True) -> SearchRow:
        """What fits the words, in the catalogue and on the hub. A hub that cannot be asked is
        named in the answer: the catalogue's part stands."""
        known = catalog.load()
        ours = [_catalog_row(known, one) for hit in known.search(words) for one in hit.models]
        try:
            theirs = self._on_the_hub(words) if hub else ()
        except NoiboError as error:
            return SearchRow(catalogue=ours, hub=[], hub_problem=str(error))
        return SearchRow(catalogue=ours, hub=[_hub_row(hit) for hit in theirs])

    def _on_the_hub(self, words: str) -> Sequence[HubHit]:
        from noibo.modelstore.sources.hub import HubSource  # brings an HTTP client

        return HubSource(self._door, self._fetch).search(words)


def _is_for(model: Model, use: Use) -> bool:
    if use == "vietnamese":
        return "vi" in model.languages
    if use == "chat":
        return "chat" in model.abilities and "code" not in model.abilities
    return use in model.abilities


def _of_family(models: Sequence[Model], asked: str) -> list[Model]:
    """Families of just that name, else those with it in their name or maker."""
    word = plain(asked)
    exact = [m for m in models if word in (m.family.name, *m.family.aliases)]
    return exact or [
        model
        for model in models
        if any(word in plain(name) for name in (model.family.name, model.family.title))
        or word == plain(model.family.maker)
    ]


def _catalog_row(known: Catalog, model: Model) -> CatalogRow:
    family, licence = model.family, licences.classify(model.licence)
    return CatalogRow(
        name=model.name,
        family=family.name,
        title=family.title,
        maker=family.maker,
        released=model.released,
        api_only=family.api_only,
        parameters=model.parameters,
        active_parameters=model.size.active if model.size else None,
        context_length=model.context,
        languages=list(model.languages),
        abilities=list(model.abilities),
        licence=licence.id,
        licence_kind=licence.kind,
        licence_means={str(language): means for language, means in licence.means.items()},
        quantisations=list(known.quantisations(model)),
        memory_about_bytes=model.memory,
        strengths=_both(family.strengths),
        best_for=_both(model.best_for),
        note=_both(family.note) if family.note else None,
    )


def _both(text: catalog.Text) -> dict[str, str]:
    return {"en": text.en, "vi": text.vi}


def _hub_row(hit: HubHit) -> HubRow:
    return HubRow(
        name=f"hf.co/{hit.repo}",
        downloads=hit.downloads,
        likes=hit.likes,
        licence=hit.licence,
        licence_kind=licences.classify(hit.licence).kind,
        gated=hit.gated,
        updated=hit.updated.isoformat() if hit.updated else None,
        formats=list(hit.formats),
    )
