"""The manifest of a model as Ollama's registry and Ollama's own folder hold it.

It comes from somebody else and says which files there are: nothing in it is believed before it was
looked at. Only `sha256:` and 64 hexadecimal digits become part of an address or of a file's name;
sizes are bounded before anything is made ready for them. The shape is Docker's image manifest,
version 2 schema 2, or OCI's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from noibo.errors import FetchError
from noibo.modelstore.gguf.foreign_files import recognise
from noibo.modelstore.printable import shown

MAX_BYTES: Final = 4 * 2**20
MAX_LAYERS: Final = 1000
MAX_SIZE: Final = 16 * 2**40

_OLLAMA: Final = "application/vnd.ollama.image."
MODEL: Final = _OLLAMA + "model"
PROJECTOR: Final = _OLLAMA + "projector"
ADAPTER: Final = _OLLAMA + "adapter"
TEMPLATE: Final = _OLLAMA + "template"
OLD_TEMPLATE: Final = _OLLAMA + "prompt"
SYSTEM: Final = _OLLAMA + "system"
PARAMETERS: Final = _OLLAMA + "params"
LICENCE: Final = _OLLAMA + "license"
MESSAGES: Final = _OLLAMA + "messages"
TENSOR: Final = _OLLAMA + "tensor"  # of Ollama's own engine; there is no GGUF file then

ACCEPTED: Final = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_SHA256: Final = re.compile(r"sha256:([0-9a-f]{64})")
_LONGEST_MEDIA_TYPE: Final = 255


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a model: what it is, its SHA-256 (64 hexadecimal digits) and its size."""

    media_type: str
    sha256: str
    size: int

    @property
    def digest(self) -> str:
        """As it is written in addresses."""
        return f"sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class OllamaManifest:
    """The files of one model, each once. Types noibo does not know are among them."""

    config: Layer
    layers: tuple[Layer, ...]

    def of(self, *media_types: str) -> tuple[Layer, ...]:
        """The layers of these types, as they stand."""
        return tuple(layer for layer in self.layers if layer.media_type in media_types)

    @property
    def model(self) -> Layer:
        """The GGUF file. Raises `FetchError` unless there is exactly one."""
        found = self.of(MODEL)
        if len(found) == 1:
            return found[0]
        if found:
            raise FetchError("The manifest lists several models where there should be one.")
        if self.of(TENSOR):
            raise FetchError(
                "This is a model for Ollama's own engine, in single tensors; there is no GGUF "
                "file in it.",
                next_step="Take another tag of it, or its GGUF file from hf.co.",
            )
        raise FetchError(
            "The manifest lists no model file: it may be one that runs on the registry's "
            "computers only.",
            next_step="Take another tag: those with `cloud` in the name are never sent.",
        )


def read(data: bytes) -> OllamaManifest:
    """Read a manifest; raises `FetchError` for anything that is not quite one."""
    if len(data) > MAX_BYTES:
        raise _bad("it is too long")
    manifest = _object(_decoded(data), "it")
    version = manifest.get("schemaVersion")
    if "manifests" in manifest or "index" in str(manifest.get("mediaType")):
        raise _bad("it lists other manifests instead of files")
    if type(version) is not int or version != 2:
        raise _bad(f"its schemaVersion is {shown(repr(version), 40)} and not 2")
    if manifest.get("mediaType", ACCEPTED[0]) not in ACCEPTED:
        raise _bad(f"its type is {shown(repr(manifest['mediaType']), 80)}")
    listed = manifest.get("layers")
    if not isinstance(listed, list):
        raise _bad("it has no list of layers")
    if len(listed) > MAX_LAYERS:
        raise _bad(f"it has {len(listed):,} layers")
    config = _layer(manifest.get("config"), "config")
    layers = [_layer(entry, f"layer {number}") for number, entry in enumerate(listed, 1)]
    _require_one_size([config, *layers])
    return OllamaManifest(config, tuple(dict.fromkeys(layers)))


def _require_one_size(layers: list[Layer]) -> None:
    sizes: dict[str, int] = {}
    for layer in layers:
        if sizes.setdefault(layer.sha256, layer.size) != layer.size:
            raise _bad("it gives one file two sizes")
    if sum(sizes.values()) > MAX_SIZE:
        raise _bad("its files are larger than any model")


def _layer(entry: Any, name: str) -> Layer:
    found = _object(entry, name)
    media_type, digest, size = (found.get(key) for key in ("mediaType", "digest", "size"))
    if not isinstance(media_type, str) or not 0 < len(media_type) <= _LONGEST_MEDIA_TYPE:
        raise _bad(f"{name} has no type")
    sha256 = _SHA256.fullmatch(digest) if isinstance(digest, str) else None
    if sha256 is None:
        raise _bad(f"the digest of {name} is {shown(repr(digest), 100)}, no SHA-256")
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise _bad(f"the size of {name} is {shown(repr(size), 40)}")
    return Layer(media_type, sha256[1], size)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{name} is no JSON object")
    return value


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        if data.lstrip()[:1] in {b"{", b"["}:
            why = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
            raise _bad(f"it is no JSON ({shown(why, 120)})") from None
        raise _bad(f"it is {recognise(data[:512]).what}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _bad(why: str) -> FetchError:
    return FetchError(
        f"The model's manifest cannot be used: {why}.",
        next_step="Nothing was fetched. The registry, or something on the way to it, is at fault.",
    )
