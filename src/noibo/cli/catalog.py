"""`noibo catalog`, `noibo search`: what there is, side by side, before anything is fetched."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.catalog_view import Language, print_families, print_hits, print_sizes
from noibo.cli.context import settings
from noibo.errors import NoiboError, NotFound
from noibo.modelstore import catalog as known
from noibo.modelstore import licences
from noibo.modelstore.catalog import Hit, Model
from noibo.modelstore.catalog_search import plain

if TYPE_CHECKING:
    from noibo.modelstore.sources.hub import HubHit


class Use(StrEnum):
    """What a model is wanted for."""

    chat = "chat"
    code = "code"
    vietnamese = "vietnamese"
    vision = "vision"
    embedding = "embedding"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
In = Annotated[Language, typer.Option(help="Language of the last column.")]


def catalog(
    family: Annotated[
        str | None, typer.Argument(help="Only this family, with every size: llama3, qwen, gemma.")
    ] = None,
    use: Annotated[Use | None, typer.Option(help="Only models for this.")] = None,
    lang: In = Language.en,
    json: Json = False,
) -> None:
    """Compare the models noibo knows."""
    catalogue = known.load()
    models = [model for model in catalogue.models if use is None or _is_for(model, use)]
    if family is not None:
        models = _of_family(models, family)
    if not models:
        raise NotFound(
            f"No model of the catalogue fits {family or use}.",
            next_step="`noibo catalog` shows them all; `noibo search WORDS` looks on the hub too.",
        )
    if json:
        print(jsonlib.dumps([_facts(catalogue, model) for model in models], indent=2))
        return
    (print_families if family is None else print_sizes)(models, lang)


def search(
    words: Annotated[list[str], typer.Argument(help="What you look for.", show_default=False)],
    lang: In = Language.en,
    catalogue_only: Annotated[
        bool, typer.Option("--offline", "--catalogue-only", help="Do not ask the hub.")
    ] = False,
    json: Json = False,
) -> None:
    """Find models in the catalogue and on the hub."""
    text = " ".join(words)
    hits = known.load().search(text)
    found: Sequence[HubHit] = ()
    if not catalogue_only:
        try:
            found = _on_the_hub(text)
        except NoiboError as error:
            print(f"noibo: the hub was not asked: {error}", file=sys.stderr)
    if json:
        print(jsonlib.dumps(_hits(hits, found), indent=2))
    elif not hits and not found:
        raise NotFound(
            f"Nothing was found for {text!r}.", next_step="Fewer words find more: `noibo catalog`."
        )
    else:
        print_hits(hits, found, lang)


def _on_the_hub(words: str) -> Sequence[HubHit]:
    from noibo.assembly import open_door
    from noibo.modelstore.sources.hub import HubSource

    tree = settings()
    return HubSource(open_door(tree), tree.fetch).search(words)


def _is_for(model: Model, use: Use) -> bool:
    if use is Use.vietnamese:
        return "vi" in model.languages
    if use is Use.chat:
        return "chat" in model.abilities and "code" not in model.abilities
    return use.value in model.abilities


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


def _hits(hits: Sequence[Hit], found: Sequence[HubHit]) -> dict[str, Any]:
    catalogue = known.load()
    return {
        "catalogue": [_facts(catalogue, model) for hit in hits for model in hit.models],
        "hub": [
            {
                "name": f"hf.co/{hit.repo}",
                "downloads": hit.downloads,
                "likes": hit.likes,
                "licence": hit.licence,
                "licence_kind": licences.classify(hit.licence).kind,
                "gated": hit.gated,
                "updated": hit.updated.isoformat() if hit.updated else None,
                "formats": list(hit.formats),
            }
            for hit in found
        ],
    }


def _facts(catalogue: known.Catalog, model: Model) -> dict[str, Any]:
    family, licence = model.family, licences.classify(model.licence)
    return {
        "name": model.name,
        "family": family.name,
        "title": family.title,
        "maker": family.maker,
        "released": model.released,
        "api_only": family.api_only,
        "parameters": model.parameters,
        "active_parameters": model.size.active if model.size else None,
        "context_length": model.context,
        "languages": list(model.languages),
        "abilities": list(model.abilities),
        "licence": licence.id,
        "licence_kind": licence.kind,
        "licence_means": dict(licence.means),
        "quantisations": list(catalogue.quantisations(model)),
        "memory_about_bytes": model.memory,
        "strengths": {"en": family.strengths.en, "vi": family.strengths.vi},
        "best_for": {"en": model.best_for.en, "vi": model.best_for.vi},
    }
