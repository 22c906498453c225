"""The report of `noibo bench` as files, and where and when it was made."""

from __future__ import annotations

import platform
import time
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
                raise UsageError(
                    f"{path} cannot be written ({exc.strerror}).", next_step="Name another file."
                ) from exc

    def write(self, report: Report) -> None:
        """Write what was asked for."""
        if self._json:
            self._json.write_bytes(as_json(report))
        if self._csv:
            self._csv.write_text(as_csv(report), encoding="utf-8")
        if self._html:
            self._html.write_text(as_html(report, self._language), encoding="utf-8")

    def tell(self) -> None:
        """Say where they are."""
        for path in filter(None, (self._json, self._csv, self._html)):
            print(f"Written: {path}")


def place(currency: str) -> Place:
    """This machine, now."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}"
    machine = f"{system}, {psutil.cpu_count()} CPUs, {memory:.0f} GiB"
    return Place(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), machine, __version__, currency)
