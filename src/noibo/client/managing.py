"""The models of the server's machine: what there is, what is here, and how it comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from noibo.client.calls import Calls
from noibo.client.connection import AsyncConnection, Connection
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
    PullEvent,
    PullEvents,
    PullRow,
    RemovedRow,
    UsageRow,
)
from noibo.wire.usage import By, UsageReport


class Managing(Connection):
    """Manages models, and waits for what comes of it."""

    def stored_models(self) -> ModelList:
        """The models that can be used, and what is wrong with the others."""
        return self._send(Calls.stored_models)

    def show(self, name: str) -> ModelShown:
        """All that is known of one model."""
        return self._send(Calls.show(name))

    def add(self, path: str, name: str | None = None) -> ModelRow:
        """Use a file or a folder of the server's machine where it lies."""
        return self._send(Calls.add(path, name))

    def remove(self, name: str) -> RemovedRow:
        """Remove a model; says what that freed."""
        return self._send(Calls.remove(name))

    def pull(self, model: str, name: str | None = None) -> PullEvents:
        """Fetch a model: how it goes, and in the end the model. To leave does not stop it."""
        return self._follow(Calls.pull(model, name))

    def watch_pull(self, pull_id: str) -> PullEvents:
        """A pull that runs or has just ended, from its beginning."""
        return self._follow(Calls.watch_pull(pull_id))

    def pulls(self) -> list[PullRow]:
        """Pulls that run or ended lately."""
        return self._send(Calls.pulls)

    def cancel_pull(self, pull_id: str) -> PullRow:
        """Stop a pull. What is here is kept: the same pull goes on there."""
        return self._send(Calls.cancel_pull(pull_id))

    def check_store(self, repair: bool = False) -> CheckEvents:
        """Read every file and compare: how it goes, and in the end what was found. To leave
        stops it. `repair`: fetch again what is bad."""
        return self._follow(Calls.check_store(repair))

    def collect_garbage(self, partial: bool = False) -> CollectedRow:
        """Remove what nothing needs; with `partial` downloads too that were not finished."""
        return self._send(Calls.collect_garbage(partial))

    def store_usage(self) -> UsageRow:
        """Where the store's bytes are."""
        return self._send(Calls.store_usage)

    def usage(  # noqa: PLR0913, PLR0917 - what can be asked for
        self,
        by: By = "model",
        since: str = "30d",
        until: str = "",
        user: str = "",
        model: str = "",
        against: str = "",
    ) -> UsageReport:
        """What was asked and what it cost: one's own; for an admin everybody's, or a `user`'s.
        `since` and `until`: a day, a month, today, month, or a while back, as 12h, 30d or 4w.
        `against`: the model that savings are counted against."""
        return self._send(
            Calls.usage(by, since=since, until=until, user=user, model=model, against=against)
        )

    def catalog(self, family: str | None = None, use: Use | None = None) -> list[CatalogRow]:
        """The models noibo knows, of one family and for one use if wanted; perhaps none."""
        return self._send(Calls.catalog(family, use))

    def search(self, words: str, hub: bool = True) -> SearchRow:
        """What fits the words, in the catalogue and, if wanted, on the hub."""
        return self._send(Calls.search(words, hub))

    def import_models(
        self, folders: Sequence[str] = (), dry_run: bool = False, prune: bool = False
    ) -> ImportEvents:
        """Use what other programs of the server's machine have, where it lies: how it goes, and
        in the end what came of it. To leave stops it."""
        return self._follow(Calls.import_models(folders, dry_run, prune))


class AsyncManaging(AsyncConnection):
    """The same as `Managing`, on an event loop."""

    async def stored_models(self) -> ModelList:
        """The models that can be used, and what is wrong with the others."""
        return await self._send(Calls.stored_models)

    async def show(self, name: str) -> ModelShown:
        """All that is known of one model."""
        return await self._send(Calls.show(name))

    async def add(self, path: str, name: str | None = None) -> ModelRow:
        """Use a file or a folder of the server's machine where it lies."""
        return await self._send(Calls.add(path, name))

    async def remove(self, name: str) -> RemovedRow:
        """Remove a model; says what that freed."""
        return await self._send(Calls.remove(name))

    def pull(self, model: str, name: str | None = None) -> AsyncIterator[PullEvent]:
        """Fetch a model: how it goes, and in the end the model. To leave does not stop it."""
        return self._follow(Calls.pull(model, name))

    def watch_pull(self, pull_id: str) -> AsyncIterator[PullEvent]:
        """A pull that runs or has just ended, from its beginning."""
        return self._follow(Calls.watch_pull(pull_id))

    async def pulls(self) -> list[PullRow]:
        """Pulls that run or ended lately."""
        return await self._send(Calls.pulls)

    async def cancel_pull(self, pull_id: str) -> PullRow:
        """Stop a pull. What is here is kept: the same pull goes on there."""
        return await self._send(Calls.cancel_pull(pull_id))

    def check_store(self, repair: bool = False) -> AsyncIterator[ProgressRow | CheckedRow]:
        """Read every file and compare: how it goes, and in the end what was found. To leave
        stops it. `repair`: fetch again what is bad."""
        return self._follow(Calls.check_store(repair))

    async def collect_garbage(self, partial: bool = False) -> CollectedRow:
        """Remove what nothing needs; with `partial` downloads too that were not finished."""
        return await self._send(Calls.collect_garbage(partial))

    async def store_usage(self) -> UsageRow:
        """Where the store's bytes are."""
        return await self._send(Calls.store_usage)

    async def usage(  # noqa: PLR0913, PLR0917 - what can be asked for
        self,
        by: By = "model",
        since: str = "30d",
        until: str = "",
        user: str = "",
        model: str = "",
        against: str = "",
    ) -> UsageReport:
        """What was asked and what it cost: one's own; for an admin everybody's, or a `user`'s.
        `since` and `until`: a day, a month, today, month, or a while back, as 12h, 30d or 4w.
        `against`: the model that savings are counted against."""
        return await self._send(
            Calls.usage(by, since=since, until=until, user=user, model=model, against=against)
        )

    async def catalog(self, family: str | None = None, use: Use | None = None) -> list[CatalogRow]:
        """The models noibo knows, of one family and for one use if wanted; perhaps none."""
        return await self._send(Calls.catalog(family, use))

    async def search(self, words: str, hub: bool = True) -> SearchRow:
        """What fits the words, in the catalogue and, if wanted, on the hub."""
        return await self._send(Calls.search(words, hub))

    def import_models(
        self, folders: Sequence[str] = (), dry_run: bool = False, prune: bool = False
    ) -> AsyncIterator[ProgressRow | ImportedRow]:
        """Use what other programs of the server's machine have, where it lies: how it goes, and
        in the end what came of it. To leave stops it."""
        return self._follow(Calls.import_models(folders, dry_run, prune))
