"""Makes models out of others and out of files: what `ollama create` and `ollama cp` do.

A model is written down at the very end, whole or not at all: what is cut off before that leaves
nothing but blobs, which are there for the next try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import BadModelFile, InvalidRequest, NameTaken, NotFound
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.manifest import InPlace, InStore, Licence, ModelFile, Provenance
from noibo.modelstore.offer import Defaults, Role
from noibo.modelstore.ollama import go_template
from noibo.modelstore.ollama.recipe import Recipe, Source
from noibo.modelstore.parts import Part
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store, StoredModel
from noibo.modelstore.upload import Upload

Tell = Callable[[str], None]
_ROLES: Final[dict[str, Role]] = {"model": "model", "projector": "projector", "adapter": "adapter"}
_JINJA: Final = ("{%", "{#")


@dataclass(frozen=True, slots=True)
class Maker:
    """Writes to one store. `changed` is called whenever a name may mean something else. For any
    thread; every method may read the disk."""

    store: Store
    changed: Callable[[], None]

    def copy(self, source: str, destination: Reference) -> StoredModel:
        """The same model under another name too. Raises `ModelNotFound`."""
        found = self.store.get(source)
        if found.reference == destination:
            return found
        manifest = found.manifest
        said = Provenance(
            f"a copy of {found.reference}", manifest.origin, manifest.licence, manifest.defaults
        )
        return self._kept(destination, manifest.files, said)

    def make(self, name: Reference, recipe: Recipe, tell: Tell) -> StoredModel:
        """The model of a recipe, under that name. `tell` is given what is being done.

        Raises `ModelNotFound`, `InvalidRequest`, `BadModelFile`, `LicenceRefused`."""
        if recipe.base:
            base = self.store.get(recipe.base)
            tell("reading model metadata")
            manifest = base.manifest
            files, defaults, licence = manifest.files, manifest.defaults, manifest.licence
            source = f"made from {base.reference}"
        else:
            tell("parsing GGUF")
            files, defaults, licence = self._files(recipe.files), Defaults(), Licence()
            source = "made from " + ", ".join(one.name for one in recipe.files)
        files = (*_without_adapters(files, recipe), *self._adapters(recipe.adapters))
        for one in files:
            tell(f"using existing layer {_layer(one)}")
        said = Provenance(source, "", _licence(licence, recipe), _defaults(defaults, recipe))
        tell("writing manifest")
        return self._kept(name, files, said)

    # ── blobs ───────────────────────────────────────────────────────────────

    def has(self, sha256: str) -> bool:
        """True if the file of that digest is here."""
        here = self.store.blob(sha256).exists()
        return here or self.store.copy_in_place(sha256) is not None

    def upload(self, sha256: str, size: int | None) -> Upload:
        """Take the file of that digest. Raises `DiskFull`."""
        return Upload(self.store, sha256, size)

    # ── the parts of a model ────────────────────────────────────────────────

    def _kept(self, name: Reference, files: Sequence[ModelFile], said: Provenance) -> StoredModel:
        try:
            return self.store.keep(name, files, said)
        finally:
            self.changed()

    def _files(self, sources: Sequence[Source]) -> tuple[ModelFile, ...]:
        """The files, each with its role by what its header says; the model first."""
        found = sorted(map(self._file, sources), key=lambda one: (one.role != "model", one.name))
        models = [one for one in found if one.role == "model"]
        if len(models) != 1:
            what = "several models" if models else "no model"
            raise InvalidRequest(f"files: there is {what} among them.", param="files")
        return tuple(found)

    def _adapters(self, sources: Sequence[Source]) -> Iterator[ModelFile]:
        for source in sources:
            found = self._file(source)
            if found.role != "adapter":
                raise InvalidRequest(f"adapters: {source.name} is none.", param="adapters")
            yield found

    def _file(self, source: Source) -> ModelFile:
        where, file = self._found(source)
        if not source.name.lower().endswith((".gguf", ".bin")) or not _is_gguf(where):
            raise InvalidRequest(
                f"files: {source.name} is no GGUF file.",
                param="files",
                next_step="Checkpoints in safetensors are not converted here: take a GGUF of the "
                "same model.",
            )
        info = inspect_model(where)
        part = Part.of(source.name)
        if info.kind == "model" and part is not None and part.number > 1:
            return ModelFile("part", source.name, file)
        role = _ROLES.get(info.kind)
        if role is None:
            raise BadModelFile(f"{source.name} is of kind {info.kind!r}: no part of a model.")
        return ModelFile(role, source.name, file)

    def _found(self, source: Source) -> tuple[Path, InStore | InPlace]:
        if source.path is not None:
            if not _is_readable(source.path):
                raise InvalidRequest(
                    f"files: there is no file {str(source.path)[:300]} that can be read.",
                    param="files",
                )
            return source.path, InPlace.of(source.path)
        assert source.sha256 is not None  # noqa: S101 - a source is a path or a digest
        blob = self.store.blob(source.sha256)
        if blob.exists():
            return blob, InStore(source.sha256, blob.stat().st_size)
        if (copy := self.store.copy_in_place(source.sha256)) is not None:
            return Path(copy.path), copy
        raise NotFound(
            f"files: the blob sha256:{source.sha256} of {source.name} is not here.",
            next_step=f"Send it first: POST /api/blobs/sha256:{source.sha256}.",
        )


def require_free(reference: Reference, taken: Sequence[str]) -> None:
    """Raise `NameTaken` for a name that an alias has: it would never be found."""
    if str(reference) in taken or reference.short in taken:
        raise NameTaken(f"{reference} is an alias in the settings.", next_step="Take another name.")


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return path.is_file()
    except (OSError, ValueError):
        return False


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _without_adapters(files: Sequence[ModelFile], recipe: Recipe) -> Iterator[ModelFile]:
    """An adapter of its own takes the place of those that the base had."""
    return (one for one in files if not (recipe.adapters and one.role == "adapter"))


def _layer(one: ModelFile) -> str:
    return f"sha256:{one.file.sha256}" if one.file.sha256 else one.name


def _licence(base: Licence, recipe: Recipe) -> Licence:
    if recipe.licence is None:
        return base
    title = next((line.strip() for line in recipe.licence.splitlines() if line.strip()), None)
    return Licence(title[:120] if title else None, recipe.licence, None)


def _defaults(base: Defaults, recipe: Recipe) -> Defaults:
    """What the base had, and what the recipe says instead."""
    changed = msgspec.structs.replace(
        base, parameters={**base.parameters, **_whole(recipe).parameters}
    )
    if recipe.system is not None:
        changed = msgspec.structs.replace(changed, system=recipe.system or None)
    if recipe.messages is not None:
        changed = msgspec.structs.replace(changed, messages=recipe.messages)
    if recipe.template:
        changed = msgspec.structs.replace(
            changed, template=jinja(recipe.template), source_template=recipe.template
        )
    return changed


def _whole(recipe: Recipe) -> Recipe:
    kept = {name: value for name, value in recipe.parameters.items() if value is not None}
    return replace(recipe, parameters=kept)


def jinja(template: str) -> str:
    """A template as engines read it: Ollama's are translated, one in Jinja is taken as it is.
    Raises `InvalidRequest`."""
    if any(mark in template for mark in _JINJA):
        return template
    try:
        return go_template.to_jinja(template)
    except go_template.UntranslatableTemplate as exc:
        raise InvalidRequest(
            f"template: it cannot be used ({exc}).",
            param="template",
            next_step="Templates are Go's, as Ollama has them, or Jinja, as GGUF files have them.",
        ) from exc
