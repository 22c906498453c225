"""`noibo catalog`, `noibo search`: what there is, side by side, before anything is fetched."""

from __future__ import annotations

import json as jsonlib
import sys
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from noibo.cli.catalog_view import Language, print_families, print_hits, print_sizes
from noibo.cli.context import settings
from noibo.cli.models_service import model_service
from noibo.errors import NotFound


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
    with model_service(settings()) as service:
        models = service.catalog(family, use.value if use else None)
    if not models:
        raise NotFound(
            f"No model of the catalogue fits {family or use}.",
            next_step="`noibo catalog` shows them all; `noibo search WORDS` looks on the hub too.",
        )
    if json:
        print(jsonlib.dumps(msgspec.to_builtins(models), indent=2))
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
    with model_service(settings()) as service:
        found = service.search(text, not catalogue_only)
    if found.hub_problem:
        print(f"noibo: the hub was not asked: {found.hub_problem}", file=sys.stderr)
    if json:
        print(jsonlib.dumps(msgspec.to_builtins(found), indent=2))
    elif not found.catalogue and not found.hub:
        raise NotFound(
            f"Nothing was found for {text!r}.", next_step="Fewer words find more: `noibo catalog`."
        )
    else:
        print_hits(found, lang)
