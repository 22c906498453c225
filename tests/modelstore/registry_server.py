"""A real registry on a loopback port that speaks Ollama's protocol, and misbehaves on demand."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.modelstore.loopback import Handler, LoopbackServer

OLLAMA = "application/vnd.ollama.image."
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Trouble:
    """What goes wrong."""

    token: str | None = None  # blobs and manifests want it; /token gives it
    token_lasts: int | None = None  # for so many requests, then another is wanted
    realm: str = ""  # instead of our own /token
    token_page: bytes | None = None
    manifest_status: int = 200
    manifest_body: bytes | None = None
    error: Any = None  # a body for 4xx and 5xx
    redirect: str = ""  # of blobs: another origin, or a whole address
    redirect_manifest: str = ""
    served: dict[str, bytes] = field(default_factory=dict)  # other bytes under a digest
    web_page: bool = False


class RegistryServer(LoopbackServer):
    """Holds models as manifests and blobs; remembers what it was asked."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.trouble = Trouble()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.tokens_given = 0
        super().__init__(_Handler, registry=self)

    def put(self, data: bytes) -> str:
        """Hold a blob; its digest."""
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def layer(self, kind: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": OLLAMA + kind, "digest": self.put(data), "size": len(data)}

    def add(
        self, name: str, layers: list[tuple[str, bytes]], config: bytes = CONFIG, **more: Any
    ) -> dict[str, Any]:
        """Publish `library/model:tag` with these layers; the manifest."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": self.put(config),
                "size": len(config),
            },
            "layers": [self.layer(kind, data) for kind, data in layers],
            **more,
        }
        self.publish(name, manifest)
        return manifest

    def publish(self, name: str, manifest: Any) -> None:
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.manifests[name] = data

    def asked(self, part: str) -> list[dict[str, str]]:
        """The headers of every request whose path has `part`."""
        return [headers for path, headers in self.requests if part in path]


class _Handler(Handler):
    registry: RegistryServer

    def do_GET(self) -> None:
        registry, path = self.registry, self.path
        headers = {name.lower(): value for name, value in self.headers.items()}
        registry.requests.append((path, headers))
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if path.startswith("/token"):
            self._token()
        elif path.startswith("/store/"):
            self._bytes(path.removeprefix("/store/"), headers)
        elif found is None:
            self._answer(404, b"404 page not found")
        elif not self._may_pass(headers):
            realm = registry.trouble.realm or f"{registry.origin}/token"
            said = f'Bearer realm="{realm}",service="test",scope="repository:{found[1]}:pull"'
            self._answer(401, self._error(), {"WWW-Authenticate": said})
        elif found[2] == "manifests":
            self._manifest(f"{found[1]}:{found[3]}")
        else:
            self._blob(found[3], headers)

    def _may_pass(self, headers: dict[str, str]) -> bool:
        trouble = self.registry.trouble
        if trouble.token is None:
            return True
        if headers.get("authorization") != f"Bearer {trouble.token}{self.registry.tokens_given}":
            return False
        if trouble.token_lasts is not None:
            trouble.token_lasts -= 1
            return trouble.token_lasts >= 0
        return True

    def _token(self) -> None:
        trouble = self.registry.trouble
        asked = parse_qs(urlsplit(self.path).query)
        if trouble.token_page is not None:
            self._answer(200, trouble.token_page)
        elif trouble.token is None or "service" not in asked or "scope" not in asked:
            self._answer(403, self._error())
        else:
            self.registry.tokens_given += 1
            trouble.token_lasts = None if trouble.token_lasts is None else 1
            given = {"token": f"{trouble.token}{self.registry.tokens_given}"}
            self._answer(200, json.dumps(given).encode())

    def _manifest(self, name: str) -> None:
        trouble = self.registry.trouble
        if trouble.redirect_manifest:
            self._answer(302, b"", {"Location": trouble.redirect_manifest})
        elif trouble.manifest_status != 200:
            self._answer(trouble.manifest_status, self._error())
        elif trouble.web_page:
            self._answer(200, b"<!DOCTYPE html><html>Sign in</html>", {"Content-Type": "text/html"})
        elif trouble.manifest_body is not None:
            self._answer(200, trouble.manifest_body)
        elif name in self.registry.manifests:
            self._answer(200, self.registry.manifests[name], {"Content-Type": DOCKER})
        else:
            unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._answer(404, json.dumps(unknown).encode())

    def _blob(self, digest: str, headers: dict[str, str]) -> None:
        target = self.registry.trouble.redirect
        if not target:
            self._bytes(digest, headers)
            return
        is_origin = target.startswith("http") and urlsplit(target).path in {"", "/"}
        where = f"{target.rstrip('/')}/store/{digest}" if is_origin else target
        self._answer(307, b"", {"Location": where})

    def _bytes(self, digest: str, headers: dict[str, str]) -> None:
        data = self.registry.trouble.served.get(digest, self.registry.blobs.get(digest))
        if data is None:
            self._answer(404, self._error())
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if asked is None:
            self._answer(200, data, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})
            return
        start, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
        if start >= len(data):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        place = {"Content-Range": f"bytes {start}-{end}/{len(data)}", "ETag": f'"{digest}"'}
        self._answer(206, data[start : end + 1], place)

    def _error(self) -> bytes:
        error = self.registry.trouble.error
        return error if isinstance(error, bytes) else json.dumps(error or {}).encode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/octet-stream", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
