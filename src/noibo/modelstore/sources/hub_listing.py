"""What a repository says it holds: strangers' names, sizes and digests, checked before use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from noibo.errors import FetchError
from noibo.modelstore.origin import is_plain_path

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 2**46  # 70 TB: no file is larger
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository. `sha256` is known of large files, `git_sha1` of all."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def checked(files: Iterable[HubFile], where: str) -> tuple[HubFile, ...]:
    """Those whose names every system can keep; raises `FetchError` for a hostile listing."""
    listed: list[HubFile] = []
    for file in files:
        listed.append(file)
        if len(listed) > MAX_FILES:
            raise FetchError(f"{where} lists more than {MAX_FILES} files: refused.")
        _refuse_hostile(file, where)
    name, times = Counter(one.path for one in listed).most_common(1)[0] if listed else ("", 0)
    if times > 1:
        raise FetchError(f"{where} lists {name!r} {times} times: refused.")
    return tuple(one for one in listed if is_plain_path(one.path))


def _refuse_hostile(file: HubFile, where: str) -> None:
    path = file.path
    if not isinstance(path, str) or _leads_out(path):
        raise FetchError(f"{where} lists a file with the path {path!r}: refused.")
    if file.size is not None and (type(file.size) is not int or not 0 <= file.size <= MAX_BYTES):
        raise FetchError(f"{where} says that {path} has {file.size!r} bytes: refused.")
    for digest, pattern in ((file.sha256, _SHA256), (file.git_sha1, _SHA1)):
        if digest is not None and not (isinstance(digest, str) and pattern.fullmatch(digest)):
            raise FetchError(f"{where} gives {path} a digest that is none: refused.")


def _leads_out(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return (
        not path or not path.isprintable() or "" in parts or ".." in parts or "." in parts
    ) or re.match(r"[A-Za-z]:[\\/]", path) is not None
