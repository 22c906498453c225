"""One import from beginning to end: look in the places, take what is found, say what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from noibo.modelstore.importing import found_places
from noibo.modelstore.importing.found_model import Place, Survey
from noibo.modelstore.importing.importing import Row, Taken, take
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.store import Store
from noibo.settings import other_programs
from noibo.wire.importing import ImportedRow, PlaceRow, TakenRow


@dataclass(frozen=True, slots=True)
class Import:
    """Use what lies in `folders`, else in the places of other programs, where it lies.

    `dry_run`: only say what would be. `prune`: forget imported models whose files are gone."""

    folders: Sequence[str] = ()
    dry_run: bool = False
    prune: bool = False

    def run(self, store: Store, report: Report, cancel: Cancel) -> ImportedRow:
        """Look, take, and say what came of it. Raises `NotFound` and `UsageError` for a folder
        that is none, `StoreError`, `Cancelled`."""

        def tell(progress: Progress) -> None:
            cancel.check()
            report(progress)

        found = found_places.survey(_told(self._places(), tell))
        taken = take(store, found, tell, dry_run=self.dry_run, prune=self.prune)
        return _row(found, taken, self.dry_run)

    def _places(self) -> Sequence[Place]:
        if self.folders:
            return found_places.named_places([Path(folder) for folder in self.folders])
        return found_places.known_places(other_programs())


def _told(places: Iterable[Place], tell: Report) -> Iterator[Place]:
    """The places, each named when it is its turn, unless it is not there."""
    for place in places:
        if _is_there(place.path):
            tell(Progress("find", note=_text(f"Looking in {place.path} ({place.program}).")))
        yield place


def _is_there(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # closed to us: the survey says so
        return True


def _row(found: Survey, taken: Taken, dry_run: bool) -> ImportedRow:
    return ImportedRow(
        dry_run=dry_run,
        places=[PlaceRow(program=one.program, path=_text(str(one.path))) for one in found.places],
        models=[_taken_row(row) for row in taken.rows],
        found=len(found.models),
        usable=taken.models,
        in_place=taken.in_place,
    )


def _taken_row(row: Row) -> TakenRow:
    return TakenRow(
        model=_text(row.model),
        size=row.size,
        program=row.program,
        status=row.status,
        note=_text(row.note),
    )


def _text(text: str) -> str:
    """With the bytes of a name that is no text as their escapes: JSON has no other way."""
    return text.encode("utf-8", "backslashreplace").decode()
