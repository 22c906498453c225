"""Ollama's folder: `manifests/HOST/NAMESPACE/NAME/TAG` and `blobs/sha256-HEX`.

Since 2026 also `manifests-v2`, whose entries are links to manifests among the blobs, and may list
one manifest for each of its engines. Small layers (template, system, parameters, licence) become
part of our own manifest, so each is compared with its digest first: a link to somebody's secrets is
not mistaken for a prompt.

Layout: ollama/ollama, `manifest/`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import BadModelFile, BadReference, FetchError
from noibo.modelstore.catalog import licences
from noibo.modelstore.importing.found_model import (
    DAMAGE,
    FoundFile,
    FoundModel,
    LeftOut,
    Place,
    phrase,
)
from noibo.modelstore.importing.strange_tree import Look, file_size, is_folder, read_small
from noibo.modelstore.manifest import Licence
from noibo.modelstore.offer import Role
from noibo.modelstore.ollama import ollama_defaults, ollama_manifest
from noibo.modelstore.ollama.ollama_defaults import Said
from noibo.modelstore.ollama.ollama_manifest import Layer, OllamaManifest
from noibo.modelstore.origin import HUB_HOSTS, REGISTRY_HOSTS, Registry, parse
from noibo.modelstore.reference import Reference

MANIFESTS: Final = ("manifests-v2", "manifests")  # the newer first: what it has counts
_LIST: Final = "application/vnd.ollama.manifest.list.v2+json"
_ENGINES: Final = ("llamacpp", "ollama", "")  # of a list: whose manifest is for GGUF
_BLOB: Final = re.compile(r"sha256[-:]([0-9a-fA-F]{64})")
_ROLES: Final[dict[str, Role]] = {
    ollama_manifest.MODEL: "model",
    ollama_manifest.PROJECTOR: "projector",
    ollama_manifest.ADAPTER: "adapter",
}


class _Child(msgspec.Struct):
    runner: str = ""
    digest: str = ""


class _List(msgspec.Struct, rename="camel"):
    media_type: str = ""
    manifests: list[msgspec.Raw] = []


class _Missing(Exception):
    """A file of the model is not there whole."""


@dataclass(frozen=True, slots=True)
class _Named:
    """One entry: a name, and the manifest's path."""

    reference: Reference
    origin: str
    path: Path


def is_ollama(folder: Path) -> bool:
    """True for a folder that Ollama keeps models in."""
    return is_folder(folder / "blobs") and any(is_folder(folder / one) for one in MANIFESTS)


def find(place: Place, look: Look) -> Iterator[FoundModel | LeftOut]:
    """The model of every manifest."""
    store = _OllamaStore(place)
    seen: set[Reference] = set()
    for top in MANIFESTS:
        for path in _entries(place.path / top, look):
            name = "/".join(path.parts[-4:])
            try:
                named = _named(path)
                if named.reference in seen:
                    continue
                seen.add(named.reference)
                yield store.model(named)
            except BadReference:
                yield LeftOut(place, name, "left out", "its name is none that noibo could keep")
            except _Missing as exc:
                yield LeftOut(place, str(named.reference), "incomplete", str(exc))
            except BadModelFile as exc:
                yield LeftOut(place, str(named.reference), "damaged", phrase(exc))
            except FetchError as exc:  # a good manifest of something else
                yield LeftOut(place, str(named.reference), "left out", phrase(exc))
            except DAMAGE as exc:
                yield LeftOut(place, name, "damaged", phrase(exc))
            except OSError as exc:  # it went while we looked
                yield LeftOut(place, str(named.reference), "incomplete", str(exc.strerror))


def _entries(top: Path, look: Look) -> Iterator[Path]:
    """What lies four folders deep."""
    for host in look.folders(top):
        for namespace in look.folders(host):
            for name in look.folders(namespace):
                yield from (Path(one.path) for one in look.entries(name) if one.name[0] != ".")


def _named(path: Path) -> _Named:
    host, namespace, name, tag = path.parts[-4:]
    if host.lower() in REGISTRY_HOSTS:
        reference = Reference.parse(f"{namespace}/{name}:{tag}")
        return _Named(reference, str(Registry(reference)), path)
    reference = Reference(name.lower(), tag.lower(), namespace.lower(), host.lower())
    if host.lower() in HUB_HOSTS:  # Ollama pulls from there too; case counts there
        quantisation = "" if tag == "latest" else f":{tag}"
        found = parse(f"hf.co/{namespace}/{name}{quantisation}")
        return _Named(found.reference, str(found), path)
    return _Named(reference, str(Registry(reference)), path)


class _OllamaStore:
    """Manifests and blobs of one folder."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._blobs = place.path / "blobs"

    def model(self, named: _Named) -> FoundModel:
        """The model, if its files are there. Raises `FetchError`, `BadModelFile`, `_Missing`."""
        data = self._manifest(named.path)
        try:
            manifest = ollama_manifest.read(data)
        except FetchError as exc:
            raise BadModelFile(exc.message) from None
        _ = manifest.model  # exactly one
        said = self._said(manifest)
        name = named.reference
        return FoundModel(
            self._place,
            str(name),
            name,
            named.path,
            tuple(self._files(manifest, name)),
            named.origin,
            _licence(said),
            said.defaults,
            said.notes,
        )

    def _manifest(self, path: Path) -> bytes:
        """Its bytes. Behind a link only those of a blob, compared with its digest."""
        if path.is_symlink():
            digest = _BLOB.fullmatch(path.readlink().name)
            if digest is None:
                raise BadModelFile("Its manifest is a link, and not to a blob")
            data = self._checked(digest[1].lower(), ollama_manifest.MAX_BYTES)
        else:
            data = read_small(path, ollama_manifest.MAX_BYTES)
        return self._chosen(data)

    def _chosen(self, data: bytes) -> bytes:
        """Of a list of manifests, the one for GGUF."""
        try:
            listed = msgspec.json.decode(data, type=_List)
            if listed.media_type != _LIST:
                return data
            children = [
                (msgspec.json.decode(one, type=_Child), bytes(one)) for one in listed.manifests
            ]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return data  # its reader says what is wrong with it
        for engine in _ENGINES:
            for child, whole in children:
                if child.runner.lower() == engine:
                    digest = _BLOB.fullmatch(child.digest)
                    limit = ollama_manifest.MAX_BYTES
                    return self._checked(digest[1].lower(), limit) if digest else whole
        raise FetchError("It is for Ollama's own engine only", next_step="Take a GGUF file of it.")

    def _said(self, manifest: OllamaManifest) -> Said:
        small = manifest.of(*ollama_defaults.SMALL)[: ollama_defaults.MAX_COUNT]
        limit = ollama_defaults.MAX_BYTES
        config = self._checked(manifest.config.sha256, limit)
        layers = [(one.media_type, self._checked(one.sha256, limit)) for one in small]
        ollama_defaults.renderer_of(config)  # raises for a model that is elsewhere
        try:
            return ollama_defaults.read(config, layers)
        except FetchError as exc:
            raise BadModelFile(exc.message) from None

    def _files(self, manifest: OllamaManifest, name: Reference) -> Iterator[FoundFile]:
        found = [(_ROLES[one.media_type], one) for one in manifest.of(*_ROLES)]
        order = list(_ROLES.values())
        for number, (role, layer) in enumerate(sorted(found, key=lambda one: order.index(one[0]))):
            path = self._whole(layer)
            plain = f"{name.name}.gguf" if role == "model" else f"{role}-{number}.gguf"
            yield FoundFile(role, plain, path, layer.size, layer.sha256)

    def _whole(self, layer: Layer) -> Path:
        path = self._blob(layer.sha256)
        if path is None:
            begun = file_size(self._blobs / f"sha256-{layer.sha256}-partial") is not None
            raise _Missing("it is not fetched whole" if begun else "a file of it is gone")
        if file_size(path) != layer.size:
            raise _Missing("a file of it is not as long as it should be")
        return path

    def _blob(self, sha256: str) -> Path | None:
        for mark in "-:":  # older versions wrote the colon
            path = self._blobs / f"sha256{mark}{sha256}"
            if file_size(path) is not None:
                return path
        return None

    def _checked(self, sha256: str, limit: int) -> bytes:
        """A small blob's bytes, which are what its name says."""
        path = self._blob(sha256)
        if path is None:
            raise _Missing("a small file of it is gone")
        data = read_small(path, limit)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BadModelFile(f"{path.name} does not hold what its name says")
        return data


def _licence(said: Said) -> Licence:
    """By its own name where the text is a known licence, else by the text's title."""
    if said.licence_text is None:
        return Licence()
    known = licences.classify(said.licence_text)
    is_known = known.kind not in {"other", "unknown"}
    return Licence(known.name if is_known else said.licence, said.licence_text, known.link)
