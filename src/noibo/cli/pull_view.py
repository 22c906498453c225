"""What one sees of a pull: a bar on a terminal, a line for every tenth part elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Protocol, Self

from noibo.modelstore.printable import shown
from noibo.modelstore.progress import size_text
from noibo.wire.models import ProgressRow

STAGES: Final = {
    "find": "Looking",
    "licence": "Looking",
    "wait": "Waiting",
    "download": "Downloading",
    "repair": "Mending",
    "unpack": "Unpacking",
    "check": "Checking",
    "done": "Done",
}
LONGEST_NOTE: Final = 2000


class View(Protocol):
    """Shows progress from `with` to the end of it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, progress: ProgressRow, /) -> None: ...


def view() -> View:
    """The view that suits where standard error goes."""
    return Bar() if sys.stderr.isatty() else Lines()


def _what(progress: ProgressRow) -> str:
    """`Downloading`, of several files `Downloading 2/5 model-00002.gguf`."""
    stage = STAGES.get(progress.stage, progress.stage)
    if progress.count == 1:
        return stage
    return f"{stage} {progress.number}/{progress.count} {shown(progress.file, 40)}".rstrip()


class Lines:
    """Plain lines on standard error, at most one for each ten per cent of a stage of a file."""

    def __init__(self) -> None:
        self._said: tuple[str, int] = ("", -1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: ProgressRow, /) -> None:
        if progress.note:
            _say(shown(progress.note, LONGEST_NOTE))
        if not progress.total or progress.stage == "done":
            return
        tenth, what = 10 * progress.done // progress.total, _what(progress)
        before, last = self._said
        if before != what or tenth > last:
            self._said = (what, tenth)
            part = f"{size_text(progress.done)} of {size_text(progress.total)}"
            _say(f"{what}: {10 * tenth} % ({part})")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Bar:
    """One bar on standard error: bytes, speed, time left. Notes stand above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._what = ""
        self._speed = Speed()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: ProgressRow, /) -> None:
        if progress.note:
            self._console.print(shown(progress.note, LONGEST_NOTE), markup=False, highlight=False)
        if progress.stage == "done":
            return
        what = _what(progress)
        if what != self._what:  # a new bar, so that speed and time left are its own
            self._what, self._speed = what, Speed()
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(what, total=progress.total, speed="")
        self._bar.update(
            self._bar.task_ids[0],
            completed=progress.done,
            total=progress.total,
            speed=self._speed.text(progress),
        )


class Speed:
    """Speed and time left in words: as they were measured, else over what was seen."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def text(self, progress: ProgressRow) -> str:
        """`12.3 MB/s, 0:01:05 left`; nothing while that is not known."""
        now = time.monotonic()
        began, already = self._first = self._first or (now, progress.done)
        rate = progress.rate
        if rate is None and now - began > 1:  # what was here before this bar is no speed
            rate = (progress.done - already) / (now - began)
        if not rate:
            return ""
        speed = f"{size_text(rate)}/s"
        if progress.total is None:
            return speed
        left = round(max(0, progress.total - progress.done) / rate)
        return f"{speed}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
