"""Who does what `noibo pull`, `list`, `rm`, `store` … ask for: this home's server, else we.

Both have the same methods, shapes and errors, so a command is written once. Without a server none
is started: `noibo pull` in a Dockerfile leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from noibo import errors
from noibo.errors import NoiboError, RequestFailed, ServerUnreachable
from noibo.modelstore.management import surroundings
from noibo.settings import Settings
from noibo.wire.catalog import CatalogRow, SearchRow, Use
from noibo.wire.importing import ImportEvents
from noibo.wire.management import STATE_FILE
from noibo.wire.models import (
    CheckEvents,
    CollectedRow,
    ModelList,
    ModelRow,
    ModelShown,
    PullEvents,
    PullRow,
    RemovedRow,
    UsageRow,
)


class ModelService(Protocol):
    """What `client.Client` and `modelstore.management.Management` both do."""

    def model(self, name: str) -> str: ...
    def stored_models(self) -> ModelList: ...
    def show(self, name: str) -> ModelShown: ...
    def add(self, path: str, name: str | None = None) -> ModelRow: ...
    def remove(self, name: str) -> RemovedRow: ...
    def pull(self, model: str, name: str | None = None) -> PullEvents: ...
    def pulls(self) -> list[PullRow]: ...
    def cancel_pull(self, pull_id: str) -> PullRow: ...
    def check_store(self, repair: bool = False) -> CheckEvents: ...
    def collect_garbage(self, partial: bool = False) -> CollectedRow: ...
    def store_usage(self) -> UsageRow: ...
    def catalog(self, family: str | None = None, use: Use | None = None) -> list[CatalogRow]: ...
    def search(self, words: str, hub: bool = True) -> SearchRow: ...
    def import_models(
        self, folders: Sequence[str] = (), dry_run: bool = False, prune: bool = False
    ) -> ImportEvents: ...


@contextlib.contextmanager
def model_service(tree: Settings, paths: Sequence[str] = ()) -> Iterator[ModelService]:
    """The one that is to be asked. What the server answers with is raised as it was there.

    A server cannot be told of `paths` that are no text: then it is we."""
    url = _server(tree) if all(map(_is_text, paths)) else None
    if url is None:
        from noibo.assembly import open_management

        with open_management(tree) as here:
            yield here
        return
    from noibo.client import Client

    with Client(url) as client:
        try:
            yield client
        except RequestFailed as exc:
            raise as_there(exc) from exc
        except ServerUnreachable as exc:
            raise ServerUnreachable(
                f"The noibo server at {url} has gone away; what is here is kept.",
                next_step="The same command goes on where it stopped.",
            ) from exc


def _server(tree: Settings) -> str | None:
    """The address of the server of this home, if it answers and would do just as we would."""
    try:
        state = msgspec.json.decode((tree.home / STATE_FILE).read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not surroundings.are_these(tree, state.get("surroundings")):
        return None
    from noibo.cli.background import connect

    try:
        with connect(tree) as client:
            return client.base_url
    except ServerUnreachable:
        return None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_there(exc: RequestFailed) -> NoiboError:
    """The error that the server raised, so that the command ends with that one's exit code."""
    kind = _kinds().get(exc.server_code)
    return kind(exc.message, next_step=exc.next_step) if kind else exc


def _kinds() -> dict[str, type[NoiboError]]:
    """The errors that are made of a message and a next step, by code."""
    found: dict[str, type[NoiboError]] = {}
    rest: list[type[NoiboError]] = [errors.NoiboError]
    while rest:
        kind = rest.pop()
        rest += kind.__subclasses__()
        if kind is not RequestFailed:
            found[kind.code] = kind
    return found
