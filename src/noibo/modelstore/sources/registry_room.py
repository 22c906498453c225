"""One model's place in a registry: its manifest, its blobs, and the pass that opens them.

Registries may want a token even of those who are nobody in particular (Docker's token
authentication): the refusal says where such a token is given. It is asked for without any name, and
goes to the registry alone, never to the stores it redirects to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import httpx2

from noibo.egress import Destination, Door, Purpose
from noibo.errors import AccessNeeded, DigestMismatch, EgressRefused, FetchError, NotOffered
from noibo.modelstore.ollama import ollama_defaults, ollama_manifest
from noibo.modelstore.ollama.ollama_manifest import Layer, OllamaManifest
from noibo.modelstore.printable import shown
from noibo.modelstore.progress import Cancel
from noibo.modelstore.reference import DEFAULT_HOST, Reference
from noibo.modelstore.web.address import is_inside, spelled
from noibo.modelstore.web.credentials import clean
from noibo.modelstore.web.faults import status_fault
from noibo.modelstore.web.session import WebSession
from noibo.settings import Fetch

_MAX_TOKEN_PAGE: Final = 256 * 1024
_MAX_ERROR: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_QUANTISATION: Final = re.compile(r"(?<![a-z0-9])(i?q\d)_(k(?:_[a-z]+)?)(?![a-z0-9])")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class RegistryRoom:
    """What a registry at `address` has of one model. Usable from several threads at once."""

    def __init__(
        self,
        door: Door,
        fetch: Fetch,
        address: str,
        reference: Reference,
        cancel: Cancel | None = None,
    ) -> None:
        self._address = address
        self._reference = reference
        self._base = f"{address}/v2/{reference.namespace}/{reference.name}"
        self._web = WebSession(
            door, Purpose.MODEL_REGISTRY, [address], fetch.private_hosts, cancel=cancel
        )
        self.host = urlsplit(address).netloc.rpartition("@")[2]  # that is asked, as people know it
        self._token: str | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._web.close()

    def answers(self) -> bool:
        """True when somebody speaks HTTP there, whatever they say."""
        try:
            with self._web.open(f"{self._address}/v2/", {}):
                return True
        except (httpx2.TransportError, EgressRefused, FetchError):
            return False

    def manifest(self) -> OllamaManifest:
        """The files of the model; raises `NotOffered`, `AccessNeeded`, `FetchError`."""
        headers = {"Accept": ", ".join(ollama_manifest.ACCEPTED)}
        *others, last = _spellings(self._reference.tag)
        for tag in others:
            with contextlib.suppress(NotOffered):
                return self._manifest(tag, headers)
        return self._manifest(last, headers)

    def _manifest(self, tag: str, headers: Mapping[str, str]) -> OllamaManifest:
        url = f"{self._base}/manifests/{tag}"
        return ollama_manifest.read(self._page(url, headers, ollama_manifest.MAX_BYTES))

    def blob_url(self, layer: Layer) -> str:
        """Its address; redirects to the registry's store are followed under the web's rules."""
        return f"{self._base}/blobs/{layer.digest}"

    def small(self, layer: Layer) -> bytes:
        """A whole small file, as promised: size and digest are right."""
        if layer.size > ollama_defaults.MAX_BYTES:
            raise FetchError(
                f"The manifest says that {shown(layer.media_type)} has {layer.size:,} bytes: more "
                "than such a file has."
            )
        url = self.blob_url(layer)
        data = self._page(url, {"Accept-Encoding": "identity"}, layer.size)
        found = hashlib.sha256(data).hexdigest()
        if found != layer.sha256:
            raise DigestMismatch(
                f"{clean(url)} is not the file that was promised: SHA-256 {found}. It was thrown "
                "away.",
                next_step="Try again; if it stays so, the registry or a proxy changes files.",
            )
        return data

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """An `Opener` for files of the registry: with a token, a new one where it ran out."""
        sent = self._token
        with self._web.open(url, self._signed(headers)) as response:
            challenge = self._challenge(response)
            if challenge is None:
                yield response
                return
        self._ask_for_token(challenge, sent)
        with self._web.open(url, self._signed(headers)) as response:
            if self._challenge(response) is not None:
                raise self._access_needed()
            yield response

    def _page(self, url: str, headers: Mapping[str, str], limit: int) -> bytes:
        sent = self._token
        most = max(limit, _MAX_ERROR)
        response = self._web.get(url, self._signed(headers), limit=most)
        challenge = self._challenge(response)
        if challenge is not None:
            self._ask_for_token(challenge, sent)
            response = self._web.get(url, self._signed(headers), limit=most)
        if response.status_code != 200:
            raise self._fault(url, response)
        if len(response.content) > limit:
            raise FetchError(f"{clean(url)} answers with more than it should.")
        return response.content

    def _signed(self, headers: Mapping[str, str]) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**headers, **token}

    def _challenge(self, response: httpx2.Response) -> str | None:
        """What the registry itself answers to somebody without a (good) token."""
        said = response.headers.get("www-authenticate", "")
        ours = Destination.of(str(response.request.url)) == Destination.of(self._address)
        bearer = said[:7].lower() == "bearer "
        return said if ours and bearer and response.status_code == 401 else None

    def _ask_for_token(self, challenge: str, used: str | None) -> None:
        """One thread asks; the others, refused with the same old token, take what it got."""
        with self._lock:
            if self._token == used:
                self._token = self._new_token(dict(_CHALLENGE.findall(challenge)))

    def _new_token(self, said: dict[str, str]) -> str:
        realm = said.get("realm", "")
        self._require_decent(realm)
        asked = {key: said[key] for key in ("service", "scope") if said.get(key)}
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(asked)}"
        self._web.admit(realm, self._address)
        response = self._web.get(url, limit=_MAX_TOKEN_PAGE)
        if response.status_code != 200:
            raise self._access_needed()
        found = _json(response.content)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise FetchError(f"{clean(realm)} gives no token.")
        return token

    def _require_decent(self, realm: str) -> None:
        """A token is asked for over https, or at the very place that wants it."""
        try:
            place = Destination.of(realm)
        except EgressRefused:
            place = None
        if place is None or not (place.scheme == "https" or place == Destination.of(self._address)):
            raise EgressRefused(
                f"{clean(self._address)} sends to {shown(realm, 120)!r} for a token: not followed."
            )

    def _fault(self, url: str, response: httpx2.Response) -> FetchError:
        status = response.status_code
        said = _errors(response.content)
        if status in {401, 403}:
            return self._access_needed(said)
        if status == 404:
            return NotOffered(
                f"{self.host} has no {self._reference}{said}.",
                next_step="Check the name and the tag, as https://ollama.com/search shows them.",
            )
        return FetchError(f"{status_fault(url, status)}{said}.")

    def _access_needed(self, said: str = "") -> AccessNeeded:
        return AccessNeeded(
            f"{self.host} gives {self._reference} only to those it knows{said}.",
            next_step="noibo asks registries without a name: take a public model, or import it "
            "from an Ollama that has it (`noibo import`).",
        )


def _spellings(tag: str) -> tuple[str, ...]:
    """Names fold capitals, and a registry may not: a quantisation is `q4_K_M` in most tags."""
    usual = _QUANTISATION.sub(lambda found: f"{found[1]}_{found[2].upper()}", tag)
    return tuple(dict.fromkeys((usual, tag)))


def addresses(reference: Reference, fetch: Fetch) -> tuple[str, ...]:
    """Where the registry of a model may be, in the order to try.

    https, but for this machine; a host of one's own network may have either."""
    if reference.host == DEFAULT_HOST:
        return (fetch.registry.rstrip("/"),)
    name = reference.host.partition(":")[0]
    inside = spelled(name)
    if inside and all(address.is_loopback for address in inside):
        return (f"http://{reference.host}",)
    own = any(map(is_inside, inside)) or name in {
        entry.partition(":")[0] for entry in fetch.private_hosts
    }
    secure = f"https://{reference.host}"
    return (secure, f"http://{reference.host}") if own else (secure,)


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _errors(data: bytes) -> str:
    """What a registry says of an error, `{"errors": [{"code", "message"}]}`, made safe to show."""
    listed = _json(data).get("errors")
    for error in listed if isinstance(listed, list) else ():
        if isinstance(error, dict):
            words = [error[key] for key in ("code", "message") if isinstance(error.get(key), str)]
            return f" ({shown(': '.join(words), 200)})" if words else ""
    return ""
