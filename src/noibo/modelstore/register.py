"""The manifests of a store as files: where each lies, by which names it is found.

    manifests/<host>/<namespace>/<name>/<tag>.json

What the first noibo wrote, `manifests/<name>/<tag>.json`, is read too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from noibo.errors import BadReference, ModelNotFound, NoiboError, StoreError
from noibo.modelstore import catalog
from noibo.modelstore.manifest import Manifest
from noibo.modelstore.reference import DEFAULT_HOST, DEFAULT_NAMESPACE, Reference


class Register:
    """Reads, writes and drops manifests. Knows nothing of the files they name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[tuple[Path, Reference]]:
        """Every manifest's path and the name it stands for, by name."""
        found = {}
        for pattern in ("*/*.json", "*/*/*/*.json"):  # the first: schema 1
            for path in self._folder.glob(pattern):
                if not path.name.startswith("."):
                    reference = _name_of(path.relative_to(self._folder))
                    if reference is not None:
                        found[reference] = path
        return iter([(path, reference) for reference, path in sorted(found.items())])

    def readable(self) -> tuple[list[Manifest], list[StoreError]]:
        """Every manifest that can be read, and what is wrong with the others."""
        manifests, problems = [], []
        for path, reference in self:
            try:
                manifests.append(Manifest.read(path, reference))
            except FileNotFoundError:
                continue  # removed while we looked
            except StoreError as exc:
                problems.append(exc)
        return manifests, problems

    def find(self, asked: Reference) -> tuple[Path, Reference]:
        """The manifest's path and name: by its own name, else by what the catalogue calls it.

        Raises `ModelNotFound` with what to type."""
        for reference in (asked, *_other_names(asked)):
            path = self._written(reference)
            if path is not None:
                return path, reference
        raise self._not_found(asked)

    def exact(self, reference: Reference) -> Manifest | None:
        """What is written down under just this name; raises `StoreError` if it is damaged."""
        path = self._written(reference)
        try:
            return Manifest.read(path, reference) if path else None
        except FileNotFoundError:
            return None

    def exact_or_none(self, reference: Reference) -> Manifest | None:
        """As `exact`; None for one that cannot be read."""
        try:
            return self.exact(reference)
        except StoreError:
            return None

    def write(self, manifest: Manifest) -> None:
        """Write it in the place of what its name meant before."""
        path = self._path(manifest.reference)
        manifest.write(path)
        first = self._first_path(manifest.reference)
        if first != path:
            first.unlink(missing_ok=True)

    def drop(self, path: Path) -> None:
        """Remove a manifest, and folders that are empty then."""
        path.unlink(missing_ok=True)
        folder = path.parent
        while folder != self._folder and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def temporaries(self) -> list[Path]:
        """What a killed write left behind."""
        return [path for path in self._folder.rglob(".*") if path.is_file()]

    def _written(self, reference: Reference) -> Path | None:
        for path in (self._path(reference), self._first_path(reference)):
            try:
                if path.exists():
                    return path
            except OSError:  # a name too long for this file system
                continue
        return None

    def _path(self, reference: Reference) -> Path:
        return self._folder / f"{reference.path}.json"

    def _first_path(self, reference: Reference) -> Path:
        """Where schema 1 had it."""
        if (reference.host, reference.namespace) != (DEFAULT_HOST, DEFAULT_NAMESPACE):
            return self._path(reference)
        return self._folder / reference.name / f"{reference.tag}.json"

    def _not_found(self, asked: Reference) -> ModelNotFound:
        here = [str(reference) for _, reference in self]
        if _other_names(asked):
            next_step = f"Fetch it: `noibo pull {asked}`."
        elif near := difflib.get_close_matches(str(asked), here, n=1, cutoff=0.5):
            next_step = f"Did you mean {near[0]}? `noibo list` shows what is here."
        else:
            next_step = f"`noibo list` shows what is here; `noibo pull {asked}` may fetch it."
        return ModelNotFound(f"There is no model named {asked} here.", next_step=next_step)


def _other_names(asked: Reference) -> tuple[Reference, ...]:
    """What else the catalogue calls the same model."""
    try:
        choice = catalog.load().resolve(asked)
    except NoiboError:  # a size or quantisation that does not exist
        return ()
    return (choice.reference, *choice.aliases) if choice else ()


def _name_of(path: Path) -> Reference | None:
    """The name a manifest's place stands for; None for a file that is no manifest of ours."""
    *before, name, file = path.parts
    try:
        if not before:
            return Reference(name, file.removesuffix(".json"))
        host, namespace = before
        return Reference(name, file.removesuffix(".json"), namespace, host.replace("+", ":"))
    except BadReference:
        return None
