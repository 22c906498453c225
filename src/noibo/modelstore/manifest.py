"""What the store writes down about one model: `manifests/<host>/<namespace>/<name>/<tag>.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo.errors import BadReference, StoreError
from noibo.modelstore.disk import write_atomically
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.offer import Defaults, Role
from noibo.modelstore.reference import Reference

SCHEMA: Final = 2


class InStore(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="in_store", tag_field="kind"
):
    """A blob of ours, known by its digest."""

    sha256: str
    size: int


class InPlace(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="in_place",
    tag_field="kind",
    omit_defaults=True,
):
    """Somebody else's file where it lies, known by size and time: 40 GB are not hashed.

    `sha256` is what its owner (Ollama, the hub's cache) calls it by, where there is such a name.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> InPlace:
        stat = path.stat()
        return cls(str(path), stat.st_size, stat.st_mtime_ns, sha256)


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model: what it is for, its name among the others, where it lies."""

    role: Role
    name: str
    file: InStore | InPlace


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Read from the files' headers when they came, so that a list need not open them."""

    architecture: str | None = None
    quantisation: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    format: str = "gguf"  # or safetensors: a checkpoint folder

    @classmethod
    def of(cls, info: ModelInfo) -> Facts:
        return cls(
            info.architecture,
            info.file_type or info.quantisation,
            info.parameters,
            info.context_length,
        )


class Licence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the source, or else the file, says of the licence; the text where one came along."""

    name: str | None = None
    text: str | None = None
    link: str | None = None

    @property
    def said(self) -> str | None:
        """What to judge it by: the name, or the text where the name says nothing."""
        vague = self.name is None or self.name.lower() in {"other", "unknown"}
        return self.text or self.name if vague else self.name


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model came from, and what was said of it there. As in `Manifest`."""

    source: str
    origin: str = ""
    licence: Licence = Licence()
    defaults: Defaults = Defaults()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the store. `added_at` is in seconds since 1970.

    `source` says where it came from, `origin` what to type to fetch it from there again ("" for
    what was added or imported).
    """

    model: str
    files: tuple[ModelFile, ...]
    source: str
    origin: str
    licence: Licence
    added_at: float
    facts: Facts
    defaults: Defaults = Defaults()
    schema: int = SCHEMA

    @property
    def reference(self) -> Reference:
        return Reference.parse(self.model)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(one.file.size for one in self.files)

    @property
    def blobs(self) -> Iterator[str]:
        """Digests of the blobs it uses."""
        return (one.file.sha256 for one in self.files if isinstance(one.file, InStore))

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
    def read(cls, path: Path, expected: Reference) -> Manifest:
        """Read it; `FileNotFoundError` as it is, anything else wrong with it is `StoreError`."""
        try:
            data = path.read_bytes()
            manifest = _decode(data, path)
            right = manifest.reference == expected
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as exc:
            raise StoreError(
                f"{path} cannot be read: {exc.strerror or exc}.",
                next_step="Mend that, or set store.path to a folder of yours.",
            ) from exc
        except (msgspec.MsgspecError, UnicodeDecodeError, BadReference) as exc:
            raise _damaged(path, str(exc).rstrip(".")) from exc
        if not right:
            raise _damaged(path, f"it names {manifest.model}")
        return manifest


class _Schema(msgspec.Struct):
    """Only what tells the versions apart."""

    schema: int


class _First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Schema 1: one file, a name and a tag."""

    name: str
    tag: str
    file: InStore | InPlace
    source: str
    licence: str | None
    added_at: float
    facts: Facts
    schema: int

    def today(self) -> Manifest:
        return Manifest(
            model=f"{self.name}:{self.tag}",
            files=(ModelFile("model", "model.gguf", self.file),),
            source=self.source,
            origin=f"{self.name}:{self.tag}" if isinstance(self.file, InStore) else "",
            licence=Licence(self.licence),
            added_at=self.added_at,
            facts=self.facts,
        )


def _decode(data: bytes, path: Path) -> Manifest:
    schema = msgspec.json.decode(data, type=_Schema).schema
    if schema > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer noibo (schema {schema}, this one reads {SCHEMA}).",
            next_step="Update noibo: `python -m pip install --upgrade noibo`.",
        )
    kind: Any = _First if schema == 1 else Manifest
    found = msgspec.json.decode(data, type=kind)
    return found.today() if isinstance(found, _First) else found


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}.",
        next_step="Remove that file, then pull or add the model again.",
    )
