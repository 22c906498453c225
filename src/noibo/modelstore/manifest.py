"""What the store writes down about one model: `manifests/<name>/<tag>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import StoreError
from noibo.modelstore.disk import write_atomically
from noibo.modelstore.model_info import ModelInfo
from noibo.modelstore.reference import Reference

SCHEMA: Final = 1


class InStore(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="in_store", tag_field="kind"
):
    """A blob of ours, known by its digest."""

    sha256: str
    size: int


class InPlace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="in_place", tag_field="kind"
):
    """The user's own file where it lies, known by size and time: 40 GB are not hashed."""

    path: str
    size: int
    mtime_ns: int


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Read from the file's header when it came, so that a list need not open it."""

    architecture: str | None = None
    quantisation: str | None = None
    parameters: int | None = None

    @classmethod
    def of(cls, info: ModelInfo) -> Facts:
        return cls(info.architecture, info.file_type or info.quantisation, info.parameters)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the store. `added_at` is in seconds since 1970."""

    name: str
    tag: str
    file: InStore | InPlace
    source: str
    licence: str | None
    added_at: float
    facts: Facts
    schema: int = SCHEMA

    @property
    def reference(self) -> Reference:
        return Reference(self.name, self.tag)

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        try:
            data = msgspec.json.encode(self)
        except UnicodeEncodeError:
            raise StoreError(
                "The path of the file is not text that can be written down.",
                next_step="Rename the file or its folder, then add it again.",
            ) from None
        write_atomically(path, msgspec.json.format(data, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read it; `FileNotFoundError` as it is, anything else wrong with it is `StoreError`."""
        try:
            data = path.read_bytes()
            schema = msgspec.json.decode(data, type=_Schema).schema
            if schema > SCHEMA:
                raise StoreError(
                    f"{path} was written by a newer noibo (schema {schema}, this one reads "
                    f"{SCHEMA}).",
                    next_step="Update noibo: `python -m pip install --upgrade noibo`.",
                )
            manifest = msgspec.json.decode(data, type=cls)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise StoreError(
                f"{path} cannot be read: {exc.strerror or exc}.",
                next_step="Mend that, or set store.path to a folder of yours.",
            ) from exc
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise StoreError(
                f"{path} is damaged: {exc}.",
                next_step="Remove that file, then pull or add the model again.",
            ) from exc
        if (manifest.name, manifest.tag) != (path.parent.name, path.stem):
            raise StoreError(
                f"{path} is damaged: it names {manifest.name}:{manifest.tag}.",
                next_step="Remove that file, then pull or add the model again.",
            )
        return manifest


class _Schema(msgspec.Struct):
    """Only what tells the versions apart."""

    schema: int
