"""What a source has for an origin: the files of one model, its licence, how it wants to be asked.

Every source (`sources/`) turns an `Origin` into an `Offer`; `pulling` brings an offer's files into
the store and knows nothing about where they come from.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from noibo.modelstore.origin import Origin
from noibo.modelstore.progress import Cancel, Report

# model: a GGUF file, or the first of several; part: the others of it; projector: for images;
# adapter: a LoRA; file: a member of a checkpoint folder (safetensors, tokenizer, configuration).
Role = Literal["model", "part", "projector", "adapter", "file"]


class Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a model wants to be asked, where its file does not say. What a request says wins.

    `template` is Jinja, as GGUF files hold it; `source_template` is what a source had in another
    language (Ollama's Go templates), kept as it came. `parameters` have Ollama's names
    (temperature, top_k, num_ctx, stop: a list …).
    """

    template: str | None = None
    source_template: str | None = None
    system: str | None = None
    parameters: dict[str, Any] = {}
    messages: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that came: where it lies now (to be moved into the store), size, SHA-256."""

    path: Path
    size: int
    sha256: str


class OfferedFile(Protocol):
    """One file that can be fetched.

    `name` is the file's name in the model (of a checkpoint, the path in its folder, with "/").
    `sha256` and `size` are what the source promised, or None.
    """

    @property
    def role(self) -> Role: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def sha256(self) -> str | None: ...

    def fetch(self, folder: Path, reserve: int, report: Report, cancel: Cancel) -> Fetched:
        """Bring it into `folder` (the store's `partial/`), going on from what is there.

        `reserve` bytes must stay free on the disk for what comes after. Nothing is written
        outside `folder`. The digest is right if it was promised."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One model as one source has it. Usable while the source's context is open."""

    source: str  # for people, and kept with the model: where exactly it came from
    files: tuple[OfferedFile, ...]
    licence: str | None = None  # as the source names it: an SPDX id, a hub's id, a title
    licence_text: str | None = field(default=None, repr=False)
    licence_link: str | None = None
    defaults: Defaults = Defaults()


class Source(Protocol):
    """A place models come from. One instance serves one kind of origin."""

    def offer(
        self, origin: Any, report: Report, cancel: Cancel | None = None
    ) -> AbstractContextManager[Offer]:
        """What it has for `origin`; connections live as long as the context.

        Raises `FetchError` (or its kin) when it cannot be reached or has it not, `EgressRefused`
        when the door is closed."""


__all__ = ["Defaults", "Fetched", "Offer", "OfferedFile", "Origin", "Role", "Source"]
