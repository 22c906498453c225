"""The report of `noibo bench` as files, and where and when it was made."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from noibo.errors import UsageError
from noibo.evaluation.page import as_html
from noibo.evaluation.report import Place, Report, as_csv, as_json
from noibo.evaluation.words import Language
from noibo.version import __version__


class Files:
    """Where the report goes besides the terminal."""

    def __init__(
        self, json: Path | None, csv: Path | None, html: Path | None, language: Language
    ) -> None:
        self._json, self._csv, self._html = json, csv, html
        self._language = language

    def check(self) -> None:
        """Before anything is measured: can they be written?"""
        for path in filter(None, (self._json, self._csv, self._html)):
            there = path.exists()
            try:
                with path.open("ab"):
                    pass
                if not there:
                    path.unlink()
            except OSError as exc:
                raise _unwritable(path, exc) from exc

    def write(self, report: Report) -> None:
        """Write what was asked for, and say where it is. Raises `UsageError` for the first that
        cannot be written; the others are."""
        failed: UsageError | None = None
        for path, made in self._made(report):
            try:
                path.write_bytes(made())
            except OSError as exc:
                failed = failed or _unwritable(path, exc)
            else:
                print(f"Written: {path}")
        if failed is not None:
            raise failed

    def _made(self, report: Report) -> Iterator[tuple[Path, Callable[[], bytes]]]:
        if self._json:
            yield self._json, lambda: as_json(report)
        if self._csv:
            yield self._csv, lambda: as_csv(report).encode()
        if self._html:
            yield self._html, lambda: as_html(report, self._language).encode()


def _unwritable(path: Path, exc: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be written ({exc.strerror}).",
        next_step="Make room there, or name another file.",
    )


def place(currency: str) -> Place:
    """This machine, now."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}"
    machine = f"{system}, {psutil.cpu_count()} CPUs, {memory:.0f} GiB"
    return Place(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), machine, __version__, currency)
