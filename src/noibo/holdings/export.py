"""What is kept of somebody, as one zip that a person and a program can read.

`about.json` says whose it is, when it was made and what is not in it; each kind of row is a file of
lines of JSON; contents of files lie under `files/`.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from noibo.errors import NameTaken, UsageError
from noibo.version import __version__

_NOT_IN_IT: Final = (
    "passwords and keys, of which only digests are kept",
    "copies of the database or of the home folder that were made elsewhere",
    "what places outside this machine keep of what was sent there: departures.jsonl names them",
)


class Export:
    """A zip on its way; it gets its name when it is whole."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        if os.path.lexists(path):
            raise NameTaken(f"{path} is there already.", next_step="Name another file.")
        self._path = path
        self._fresh = path.with_name(f"{path.name}.new")
        self._about = dict(about)
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as exc:
            raise UsageError(f"{self._path} cannot be written: {exc.strerror}.") from exc
        self._file = os.fdopen(handle, "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            about = {"noibo": __version__, **self._about, "counts": self._counts}
            about["not_in_it"] = list(_NOT_IN_IT)
            self._write("about.json", json.dumps(about, indent=2, ensure_ascii=False))
        self._zip.close()
        self._file.close()
        if kind is None:
            self._fresh.replace(self._path)
        else:
            self._fresh.unlink(missing_ok=True)

    @property
    def counts(self) -> Mapping[str, int]:
        """How much of each kind is in it."""
        return self._counts

    def rows(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of one kind, each a line."""
        count = 0
        with self._zip.open(f"{kind}.jsonl", "w") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")
                count += 1
        self._counts[kind] = count

    def file(self, name: str, path: Path, open_file: Callable[[Path], BinaryIO]) -> None:
        """The content of a file."""
        safe = name.replace("/", "_").replace("\\", "_")
        with open_file(path) as source, self._zip.open(f"files/{safe}", "w") as file:
            shutil.copyfileobj(source, file)
        self._counts["files"] = self._counts.get("files", 0) + 1

    def _write(self, name: str, text: str) -> None:
        self._zip.writestr(name, text)
