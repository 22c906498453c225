"""Models of a hub's repository that lies here, named as the hub names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noibo.errors import BadReference
from noibo.modelstore.checkpoint import CONFIG
from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.repository_files import Gap, Group, RepositoryFiles
from noibo.modelstore.origin import Hub, parse
from noibo.modelstore.reference import Reference


@dataclass(frozen=True, slots=True)
class RepositoryHere:
    """One repository, in one state of it. `repo` is ORG/REPO; of some old ones there is no ORG."""

    place: Place
    repo: str
    folder: Path
    listing: RepositoryFiles

    def found(self) -> Iterator[FoundModel | LeftOut]:
        """Its models, and what is not whole."""
        for group in self.listing.groups():
            try:
                yield self._gap(group) if isinstance(group, Gap) else self._model(group)
            except BadReference:
                why = "no model name can be made of its name"
                yield LeftOut(self.place, self._name(group.path), "left out", why)

    def _model(self, group: Group) -> FoundModel:
        reference, origin = self._identity(group)
        return FoundModel(
            self.place,
            origin or str(reference),
            reference,
            self.folder if group.path == CONFIG else self.folder / group.path,
            group.files,
            origin,
            self.listing.card_licence(),
        )

    def _identity(self, group: Group) -> tuple[Reference, str]:
        """The name in the store, and what to type to fetch it."""
        org, slash, _ = self.repo.partition("/")
        if not (org and slash):
            return Reference.from_file_name(self.repo), ""
        named = Hub(self.repo)
        if group.path != CONFIG:
            named = Hub(self.repo, group.label) if group.label else Hub(self.repo, file=group.path)
        checked = parse(str(named))
        return checked.reference, str(checked)

    def _gap(self, gap: Gap) -> LeftOut:
        return LeftOut(self.place, self._name(gap.path), gap.status, gap.why)

    def _name(self, path: str) -> str:
        where = f"hf.co/{self.repo}" if "/" in self.repo else self.repo
        return where if path == CONFIG else f"{where}/{path}"
