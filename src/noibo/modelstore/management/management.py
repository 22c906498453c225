"""What the commands on models and their routes do, one place for both.

The command line uses it in its own process while no server runs, and through the server else; so
the methods that it calls have the names, the shapes and the errors of `client.Client`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from noibo.modelstore.management import housekeeping, rows
from noibo.modelstore.management.discovery import Discovery
from noibo.modelstore.management.errand import Errand
from noibo.modelstore.management.mending import mend
from noibo.modelstore.management.pulls import Asked, Pulls
from noibo.modelstore.origin import Named, parse
from noibo.modelstore.progress import Cancel, Report
from noibo.modelstore.pulling import Puller
from noibo.modelstore.store import Store
from noibo.wire.catalog import CatalogRow, SearchRow, Use
from noibo.wire.importing import ImportedRow, ImportEvents
from noibo.wire.models import (
    CheckedRow,
    CheckEvents,
    CollectedRow,
    ModelList,
    ModelRow,
    ModelShown,
    ProgressRow,
    PullEvents,
    PullRow,
    RemovedRow,
    UsageRow,
)

if TYPE_CHECKING:
    from noibo.modelstore.ollama.maker import Maker

T = TypeVar("T")


def _nothing() -> None:
    """Nobody needs to know."""


class Management:
    """The models of one store, and the pulls of this process. For any thread; every method may
    read the disk. `changed` is called whenever a name may mean something else than before."""

    def __init__(
        self,
        store: Store,
        puller: Puller,
        discovery: Discovery,
        changed: Callable[[], None] = _nothing,
    ) -> None:
        self._store = store
        self._puller = puller
        self._changed = changed
        self._discovery = discovery
        self.under_way = Pulls(self._pull, self._read)
        self._errands: list[Errand[Any]] = []

    def stored_models(self) -> ModelList:
        """The models that can be used, and what is wrong with the others."""
        return rows.model_list(self._store.survey())

    def model(self, name: str) -> str:
        """A model's full name, from that or a shorter one. Raises what is wrong with it."""
        return str(self._store.get(name).reference)

    def show(self, name: str) -> ModelShown:
        """All that is known of one model."""
        return rows.model_shown(self._store.get(name), self._store)

    def add(self, path: str, name: str | None = None) -> ModelRow:
        """Use a file or a folder of this machine where it lies."""
        try:
            return rows.model_row(self._store.add(Path(path), name))
        finally:
            self._changed()

    def maker(self) -> Maker:
        """What makes models out of others."""
        from noibo.modelstore.ollama.maker import Maker  # brings what reads templates

        return Maker(self._store, self._changed)

    def remove(self, name: str) -> RemovedRow:
        """Forget a model, and free what nothing else uses."""
        try:
            return rows.removed_row(self._store.remove(name))
        finally:
            self._changed()

    def pull(self, model: str, name: str | None = None) -> PullEvents:
        """Fetch a model: how it goes, and in the end the model. To leave does not stop it."""
        return self._events(self.under_way.start(model, name).id)

    def watch_pull(self, pull_id: str) -> PullEvents:
        """A pull that runs or has just ended, from its beginning."""
        return self._events(self.under_way.get(pull_id).id)

    def pulls(self) -> list[PullRow]:
        """Pulls that run or ended lately."""
        return [pull.row() for pull in self.under_way.all()]

    def cancel_pull(self, pull_id: str) -> PullRow:
        """Stop a pull; what is here is kept."""
        return self.under_way.cancel(pull_id).row()

    def check(self, repair: bool) -> Errand[CheckedRow]:
        """Begin to read every file of every model and compare; mend what is bad if wanted."""

        def work(report: Report, cancel: Cancel) -> CheckedRow:
            checked = housekeeping.check(self._store, report, cancel)
            left = list(checked.faults)
            if repair and left:
                try:
                    left = mend(self._store, self._puller, left, report, cancel)
                finally:
                    self._changed()
            return rows.checked_row(checked, left)

        return self._begun(Errand(work, "store check"))

    def check_store(self, repair: bool = False) -> CheckEvents:
        """As `check`: how it goes, and in the end what was found. To leave stops it."""
        return _followed(self.check(repair))

    def taking(self, folders: Sequence[str], dry_run: bool, prune: bool) -> Errand[ImportedRow]:
        """Begin to import what other programs have."""

        def work(report: Report, cancel: Cancel) -> ImportedRow:
            from noibo.modelstore.management.imports import (
                Import,  # brings what reads those programs' files
            )

            try:
                return Import(folders, dry_run, prune).run(self._store, report, cancel)
            finally:
                if not dry_run:
                    self._changed()

        return self._begun(Errand(work, "import"))

    def import_models(
        self, folders: Sequence[str] = (), dry_run: bool = False, prune: bool = False
    ) -> ImportEvents:
        """As `taking`: how it goes, and in the end what came of it. To leave stops it."""
        return _followed(self.taking(folders, dry_run, prune))

    def collect_garbage(self, partial: bool = False) -> CollectedRow:
        """Remove what nothing needs; with `partial` downloads too that were not finished."""
        return rows.collected_row(housekeeping.collect(self._store, partial=partial))

    def catalog(self, family: str | None = None, use: Use | None = None) -> list[CatalogRow]:
        """The models noibo knows, of one family and for one use if wanted; perhaps none."""
        return self._discovery.catalog(family, use)

    def search(self, words: str, hub: bool = True) -> SearchRow:
        """What fits the words, in the catalogue and, if wanted, on the hub."""
        return self._discovery.search(words, hub)

    def store_usage(self) -> UsageRow:
        """Where the store's bytes are."""
        return rows.usage_row(housekeeping.usage(self._store), self._store)

    def stop(self) -> None:
        """Ask everything that is under way to stop, without waiting; what it has is kept."""
        self.under_way.cancel_all()
        for errand in self._errands:
            errand.cancel()

    def close(self) -> None:
        """Stop everything, and wait until it has stopped; but not for ever."""
        self.stop()
        self.under_way.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _begun(self, errand: Errand[T]) -> Errand[T]:
        self._errands = [errand, *(one for one in self._errands if not one.seen.ended)]
        return errand

    def _events(self, pull_id: str) -> PullEvents:
        pull = self.under_way.get(pull_id)
        for progress in pull.watch():
            yield pull.told(progress)
        yield pull.outcome()

    def _pull(self, model: str, name: str | None, report: Report, cancel: Cancel) -> ModelRow:
        try:
            return rows.model_row(self._puller.pull(model, report, name=name, cancel=cancel))
        finally:
            self._changed()

    def _read(self, model: str, name: str | None) -> Asked:
        origin = parse(model)
        if isinstance(origin, Named):
            wish = self._puller.wish(origin, name)
            return Asked(wish.origin, wish.reference)
        return Asked(str(origin), (origin, name))


def _followed(errand: Errand[T]) -> Iterator[ProgressRow | T]:
    """Follow it to its end; to leave stops it."""
    try:
        for progress in errand.watch():
            yield rows.progress_row(progress)
        yield errand.outcome()
    finally:
        errand.cancel()
        errand.wait(5)
