"""Models for tests that are one file with different things said about it."""

from __future__ import annotations

from pathlib import Path

from noibo.modelstore.manifest import InPlace, ModelFile, Provenance
from noibo.modelstore.offer import Defaults
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store


def stock(
    store: Store,
    name: str,
    gguf: Path,
    *,
    template: str | None = None,
    projector: Path | None = None,
) -> None:
    """Give the file that name, with a chat template instead of its own, or a projector."""
    files = [ModelFile("model", "model.gguf", InPlace.of(gguf))]
    if projector is not None:
        files.append(ModelFile("projector", "mmproj.gguf", InPlace.of(projector)))
    said = Defaults(template=template, source_template=template)  # so that it counts for more
    store.keep(Reference.parse(name), files, Provenance("a test", defaults=said))
