"""Models of a registry that speaks Ollama's protocol: Ollama's own, a mirror, or any other.

A manifest says which files there are (`ollama_manifest`); the large ones become files of the offer,
the small ones (template, parameters, system prompt, licence) are fetched at once and checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from noibo.egress import Door
from noibo.errors import FetchError
from noibo.modelstore.download.remote_file import RemoteFile
from noibo.modelstore.offer import Offer, Role
from noibo.modelstore.ollama import ollama_defaults, ollama_manifest
from noibo.modelstore.ollama.ollama_manifest import OllamaManifest
from noibo.modelstore.origin import Registry
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.reference import DEFAULT_HOST, Reference
from noibo.modelstore.sources.registry_room import RegistryRoom, addresses
from noibo.settings import Fetch

_ROLES: Final[tuple[tuple[Role, str], ...]] = (
    ("model", ollama_manifest.MODEL),
    ("projector", ollama_manifest.PROJECTOR),
    ("adapter", ollama_manifest.ADAPTER),
)
_MAX_FILES: Final = 32


class RegistrySource:
    """Offers what `origin.Registry` names."""

    def __init__(self, door: Door, fetch: Fetch) -> None:
        self._door = door
        self._fetch = fetch

    @contextmanager
    def offer(
        self, origin: Registry, report: Report, cancel: Cancel | None = None
    ) -> Iterator[Offer]:
        """The model as its manifest has it now. Nothing large is fetched yet."""
        reference = origin.reference
        with self._room(reference, report, cancel) as room:
            manifest = room.manifest()
            _ = manifest.model  # before anything else is fetched
            said = ollama_defaults.read(room.small(manifest.config), _small(room, manifest))
            for note in said.notes:
                report(Progress("find", note=note))
            yield Offer(
                source=str(origin),
                files=tuple(self._files(room, manifest, reference)),
                licence=said.licence,
                licence_text=said.licence_text,
                licence_link=_page(reference),
                defaults=said.defaults,
            )

    @contextmanager
    def _room(
        self, reference: Reference, report: Report, cancel: Cancel | None
    ) -> Iterator[RegistryRoom]:
        """The first address that answers; there are several for hosts of one's own network."""
        *others, last = addresses(reference, self._fetch)
        for address in (*others, last):
            with RegistryRoom(self._door, self._fetch, address, reference, cancel) as room:
                report(Progress("find", note=f"Asking {room.host} for {reference}."))
                if address == last or room.answers():
                    yield room
                    return

    def _files(
        self, room: RegistryRoom, manifest: OllamaManifest, reference: Reference
    ) -> Iterator[RemoteFile]:
        for role, media_type in _ROLES:
            layers = manifest.of(media_type)
            if len(layers) > _MAX_FILES:
                raise FetchError(f"The manifest lists {len(layers)} files as {role}.")
            for number, layer in enumerate(layers, 1):
                more = f"-{number}" if number > 1 else ""
                yield RemoteFile(
                    role=role,
                    name=f"{reference.name}{'' if role == 'model' else f'-{role}{more}'}.gguf",
                    url=room.blob_url(layer),
                    shown=f"{reference} ({role}{more}) from {room.host}",
                    size=layer.size,
                    sha256=layer.sha256,
                    open_url=room.open,
                    connections=self._fetch.connections,
                )


def _small(room: RegistryRoom, manifest: OllamaManifest) -> Iterator[tuple[str, bytes]]:
    layers = manifest.of(*ollama_defaults.SMALL)
    if len(layers) > ollama_defaults.MAX_COUNT:
        raise FetchError(f"The manifest lists {len(layers)} templates, licences and the like.")
    for layer in layers:
        yield layer.media_type, room.small(layer)


def _page(reference: Reference) -> str | None:
    """Where people can read about the model; known of Ollama's own registry only."""
    if reference.host != DEFAULT_HOST:
        return None
    return f"https://ollama.com/{reference.namespace}/{reference.name}:{reference.tag}"
