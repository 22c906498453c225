"""What one sees of a pull: a bar on a terminal, a line for every tenth part elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from noibo.modelstore.printable import shown
from noibo.modelstore.progress import Progress, size_text

STAGES: Final = {
    "find": "Looking",
    "wait": "Waiting",
    "download": "Downloading",
    "unpack": "Unpacking",
    "check": "Checking",
    "done": "Done",
}


class View(Protocol):
    """Shows progress from `with` to the end of it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, progress: Progress, /) -> None: ...


def view() -> View:
    """The view that suits where standard error goes."""
    return Bar() if sys.stderr.isatty() else Lines()


class Lines:
    """Plain lines on standard error, at most one for each ten per cent of a stage."""

    def __init__(self) -> None:
        self._said: tuple[str, int] = ("", -1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: Progress, /) -> None:
        if progress.note:
            _say(shown(progress.note, 2000))
        if not progress.total or progress.stage == "done":
            return
        tenth = 10 * progress.done // progress.total
        stage, last = self._said
        if stage != progress.stage or tenth > last:
            self._said = (progress.stage, tenth)
            part = f"{size_text(progress.done)} of {size_text(progress.total)}"
            _say(f"{STAGES[progress.stage]}: {10 * tenth} % ({part})")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Bar:
    """One bar on standard error: bytes, speed, time left. Notes stand above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._stage = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress, /) -> None:
        if progress.note:
            self._console.print(shown(progress.note, 2000), markup=False, highlight=False)
        if progress.stage == "done":
            return
        if progress.stage != self._stage:  # a new bar, so that speed and time left are its own
            self._stage = progress.stage
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(STAGES[progress.stage], total=progress.total)
        self._bar.update(self._bar.task_ids[0], completed=progress.done, total=progress.total)
