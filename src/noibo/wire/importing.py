"""The shapes of `/noibo/v1/models/import`: what other programs have, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from noibo.wire.models import ProgressRow


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that was looked in."""

    program: str
    path: str


class TakenRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one model. `status`: imported, updated, here already, refused, …"""

    model: str
    size: int
    program: str
    status: str
    note: str


class ImportedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. `found`: models that looked whole; `usable`: those that can be used now;
    `in_place`: bytes of other programs' files that they take, each counted once."""

    dry_run: bool
    places: list[PlaceRow]
    models: list[TakenRow]
    found: int
    usable: int
    in_place: int
    copied: int = 0


ImportEvents: TypeAlias = Iterator[ProgressRow | ImportedRow]
