"""The shapes of `/noibo/v1/models`, `/pulls` and `/store`: what is here, what comes, what it takes.

Shared by the model store, the gateway and the client. Sizes are in bytes, moments in seconds since
1970. A stream of events is any number of `progress`, then one `done` or `error`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from noibo.errors import NoiboError
from noibo.wire import openai
from noibo.wire.body import Json

PullState = Literal["running", "done", "failed", "cancelled"]


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """An error of ours: what happened, what to do, its stable code."""

    message: str
    next_step: str = ""
    code: str = NoiboError.code

    @classmethod
    def of(cls, error: NoiboError) -> ErrorRow:
        return cls(message=error.message, next_step=error.next_step, code=error.code)

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model that is here and whole."""

    name: str
    path: str
    size: int
    sha256: str | None
    files: int
    format: str
    in_place: bool
    source: str
    origin: str
    licence: str | None
    architecture: str | None
    quantisation: str | None
    parameters: int | None
    context_length: int | None
    added_at: float


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model."""

    role: str
    name: str
    size: int
    sha256: str | None
    path: str
    in_place: bool


class LicenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A licence, its kind, and what it means for a company in one line a language."""

    name: str
    kind: str
    means: dict[str, str]
    link: str | None
    text: str | None


class ModelShown(ModelRow, frozen=True, kw_only=True):
    """All that is known of one model. `info` is what its file's header says."""

    contents: list[FileRow]
    licensed: LicenceRow
    defaults: dict[str, Any]
    info: dict[str, Any]


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models that can be used, and what is wrong with the others."""

    models: list[ModelRow]
    problems: list[ErrorRow]


class RemovedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a removal did, in bytes: freed, still used by other models, never ours."""

    model: str
    freed: int
    shared: int
    in_place: int


class ProgressRow(msgspec.Struct, frozen=True):
    """How far something is: as `modelstore.progress.Progress`, and of which pull it is."""

    stage: str
    done: int = 0
    total: int | None = None
    note: str = ""
    file: str = ""
    number: int = 1
    count: int = 1
    rate: float | None = None
    seconds_left: float | None = None
    pull: str = ""


class PullRow(msgspec.Struct, frozen=True, kw_only=True):
    """One pull: what was asked for, how far it is, how it ended.

    `watchers` is how many follow it now.
    """

    id: str
    model: str
    name: str | None
    state: PullState
    progress: ProgressRow
    notes: list[str]
    error: ErrorRow | None
    result: ModelRow | None
    started_at: float
    ended_at: float | None
    watchers: int


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the store that is not as it should be."""

    path: str
    what: str
    models: list[str]
    next_step: str


class CheckedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a check read, what it could not compare, what is wrong, and what was mended."""

    files: int
    bytes: int
    unverified: list[str]
    faults: list[FaultRow]
    mended: list[FaultRow]


class LeftoverRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file that nothing needs. `kind`: blob, view, partial, temporary."""

    path: str
    kind: str
    size: int


class CollectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    removed: list[LeftoverRow]
    freed: int


class UseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model's bytes: its own, shared with other models, and in files that are not ours."""

    model: str
    own: int
    shared: int
    in_place: int


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store's bytes are. `free` is of its disk."""

    folder: str
    models: list[UseRow]
    blobs: int
    in_place: int
    leftovers: list[LeftoverRow]
    free: int


PullEvent: TypeAlias = ProgressRow | ModelRow
PullEvents: TypeAlias = Iterator[PullEvent]
CheckEvents: TypeAlias = Iterator[ProgressRow | CheckedRow]


def error_body(error: NoiboError) -> Json:
    """An error in the shape of every other one, with the next step by itself too."""
    body = openai.error_body(error)
    body["error"]["next_step"] = error.next_step
    return body
