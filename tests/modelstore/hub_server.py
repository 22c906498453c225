"""Real servers on loopback ports: plain files and redirects, the hub's API, GitHub's API."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.modelstore.loopback import Handler, LoopbackServer

COMMIT = "abc123def0" * 4


@dataclass
class Answer:
    """What a path is answered with."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status, json.dumps(value).encode(), {"Content-Type": "application/json", **named}
        )

    @classmethod
    def to(cls, location: str, status: int = 302) -> Answer:
        return cls(status, b"moved", {"Location": location})


@dataclass
class Asked:
    """One request: its path, its query, its headers in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


class WebServer(LoopbackServer):
    """Answers what `answers` says, else with a file of `files`, in ranges if asked for."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ):
        self.answers: dict[str, Answer | Callable[[Asked], Answer]] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.names: set[str] = set()  # in Host headers and in TLS
        super().__init__(_Handler, host=host, port=port, tls=tls, web=self)

    @property
    def url(self) -> str:
        return self.origin

    @property
    def place(self) -> str:
        """As `private_hosts` has it."""
        return f"{self.host}:{self.port}"

    def answer(self, asked: Asked) -> Answer:
        found = self.answers.get(asked.path)
        if callable(found):
            return found(asked)
        if found is not None:
            return found
        if asked.path in self.files:
            return send(self.files[asked.path], asked)
        return Answer(404, b"not here")

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


def send(data: bytes, asked: Asked) -> Answer:
    """A file, or the range of it that was asked for."""
    headers = {"Content-Type": "application/octet-stream", "ETag": f'"{len(data)}"'}
    headers["Accept-Ranges"] = "bytes"
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
    if part is None:
        return Answer(200, data, headers)
    first = int(part[1])
    last = min(int(part[2] or len(data) - 1), len(data) - 1)
    if first >= len(data):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], headers)


class _Handler(Handler):
    web: WebServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, unquote(parts.path), parse_qs(parts.query), headers)
        self.web.asked.append(asked)
        self.web.names.add(headers.get("host", ""))
        answer = self.web.answer(asked)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value.encode().decode("latin-1"))
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def do_HEAD(self) -> None:
        self.do_GET()


@dataclass
class Repo:
    """A repository on the hub. Files over `lfs_over` bytes are large ones (LFS)."""

    files: dict[str, bytes] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    tags: list[str] = field(default_factory=list)
    gated: str | bool = False
    private: bool = False
    moved_to: str = ""
    lfs_over: int = 1000
    siblings: list[Any] | None = None  # a listing that is not that of the files
    downloads: int = 0


class HubServer(WebServer):
    """Speaks the hub's API as far as models go; large files are on `cdn`, by signed addresses."""

    def __init__(self, repos: dict[str, Repo], cdn: WebServer, token: str = "") -> None:
        super().__init__()
        self.repos = repos
        self.cdn = cdn
        self.token = token  # that of somebody who accepted every licence
        self.next_pages = False

    def answer(self, asked: Asked) -> Answer:
        if asked.path in self.answers:
            return super().answer(asked)
        if asked.authorization not in {None, f"Bearer {self.token}"}:
            return _refused(401, "", "Invalid credentials in Authorization header")
        if asked.path == "/api/models":
            return self._list(asked)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", asked.path)
        if found:
            return self._info(found[1], found[2], asked)
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", asked.path)
        if found:
            return self._resolve(found[1], found[2], found[3], asked)
        return Answer(404, b"<html>Sorry, we can't find the page</html>")

    def _info(self, name: str, revision: str | None, asked: Asked) -> Answer:
        repo = self.repos.get(name)
        if repo is None or (repo.private and not asked.authorization):
            return _refused(401, "RepoNotFound", "Repository not found")
        if repo.moved_to:
            return Answer.to(f"/api/models/{repo.moved_to}?blobs=True", 307)
        if revision not in {None, "main", COMMIT}:
            return _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        blobs = asked.query.get("blobs") is not None
        listed = [_sibling(path, data, repo, blobs) for path, data in repo.files.items()]
        return Answer.of(
            self._facts(name, repo)
            | {
                "sha": COMMIT,
                "cardData": repo.card,
                "siblings": listed if repo.siblings is None else repo.siblings,
            }
        )

    def _facts(self, name: str, repo: Repo) -> dict[str, Any]:
        return {
            "_id": "1",
            "id": name,
            "modelId": name,
            "private": repo.private,
            "gated": repo.gated,
            "downloads": repo.downloads,
            "likes": 3,
            "tags": repo.tags,
            "lastModified": "2025-07-01T10:00:00.000Z",
        }

    def _list(self, asked: Asked) -> Answer:
        words = asked.query.get("search", [""])[0].lower().split()
        found = [
            self._facts(name, repo)
            for name, repo in self.repos.items()
            if all(word in name.lower() for word in words)
        ]
        found.sort(key=lambda one: -one["downloads"])
        answer = Answer.of(found[: int(asked.query.get("limit", ["50"])[0])])
        if self.next_pages:
            answer = Answer.of([], Link=f'<{self.url}/api/models?cursor=x>; rel="next"')
        return answer

    def _resolve(self, name: str, revision: str, path: str, asked: Asked) -> Answer:
        repo = self.repos.get(name)
        if repo is None:
            return _refused(401, "RepoNotFound", "Repository not found")
        if repo.gated and not asked.authorization:
            return _refused(401, "GatedRepo", f"Access to model {name} is restricted.")
        if revision != COMMIT or path not in repo.files:
            return _refused(404, "EntryNotFound", "Entry not found")
        data = repo.files[path]
        if len(data) <= repo.lfs_over:
            return send(data, asked)
        digest = hashlib.sha256(data).hexdigest()
        self.cdn.files[f"/{digest}"] = data
        answer = Answer.to(f"{self.cdn.url}/{digest}?Signature=secret-{quote(path, safe='')}")
        answer.headers |= {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": COMMIT,
        }
        return answer


def _sibling(path: str, data: bytes, repo: Repo, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    one: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git}
    if len(data) > repo.lfs_over:
        digest = hashlib.sha256(data).hexdigest()
        one["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 135}
    return one


def _refused(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return Answer(status, json.dumps({"error": message}).encode(), headers)


def github_release(
    server: WebServer,
    files: dict[str, bytes],
    *,
    repo: str = "acme/models",
    tag: str = "v1.0",
    with_digests: bool = True,
) -> dict[str, Any]:
    """Publish files as a release, the latest one; its JSON, which may still be changed."""
    assets = []
    for name, data in files.items():
        path = f"/{repo}/releases/download/{tag}/{name}"
        server.files[path] = data
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}" if with_digests else None
        assets.append(
            {
                "name": name,
                "size": len(data),
                "digest": digest,
                "state": "uploaded",
                "url": f"{server.url}/repos/{repo}/releases/assets/{len(assets)}",
                "browser_download_url": server.url + path,
            }
        )
    release = {"tag_name": tag, "name": tag, "assets": assets}
    for which in ("latest", f"tags/{tag}"):
        server.answers[f"/repos/{repo}/releases/{which}"] = lambda _: Answer.of(release)
    server.answers[f"/repos/{repo}"] = Answer.of({"license": {"spdx_id": "MIT"}})
    return release
