"""`noibo top`: what the server does, drawn again every second.

A frame is a function of two readings and a size; rates are what its counters have moved between
the two.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Annotated, Self

import typer

from noibo.cli.background import connect
from noibo.cli.context import settings
from noibo.cli.keys import Keys
from noibo.cli.top_frame import Reading, frame
from noibo.client import Client
from noibo.errors import NoiboError, ServerUnreachable
from noibo.settings import Settings


def top(
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two frames.")
    ] = 1.0,
) -> None:
    """Watch workers, memory, queue and tokens per second."""
    watch = _Watch.of(settings())
    if once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _print_once(watch, interval)
    else:
        _draw(watch, interval)


@dataclass(slots=True)
class _Watch:
    """Reads a server, also one that goes away and comes back."""

    tree: Settings
    client: Client | None
    url: str

    @classmethod
    def of(cls, tree: Settings) -> Self:
        client = connect(tree)
        return cls(tree, client, client.base_url)

    def read(self) -> Reading:
        """How the server stands now. Raises `ServerUnreachable` while there is none."""
        try:
            if self.client is None:
                self.client = connect(self.tree)
            self.url = self.client.base_url
            workers, queue = self.client.workers(), self.client.queue()
        except NoiboError:  # also one in the middle of its start or stop
            if self.client is not None:
                self.client.close()
            self.client = None
            raise
        return Reading(time.time(), self.url, workers, queue)


def _print_once(watch: _Watch, interval: float) -> None:
    from rich.console import Console

    before = watch.read()
    time.sleep(interval)
    console = Console(highlight=False)
    lines = frame(watch.read(), before, console.width, 10_000)
    console.print(*lines, sep="\n", soft_wrap=True)


def _draw(watch: _Watch, interval: float) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    before: Reading | None = None
    with (
        Keys() as keys,
        Live(console=console, screen=True, auto_refresh=False, transient=True) as live,
    ):
        while True:
            try:
                now = watch.read()
                lines = frame(now, before, console.width, console.height)
                before = now
            except ServerUnreachable:
                before = None
                lines = [Text(f"No noibo server answers at {watch.url}; waiting for one. q ends.")]
            except NoiboError as error:
                before = None
                lines = [Text(f"{error.message}")]
            live.update(Group(*lines), refresh=True)
            if keys.pressed(interval) in {"q", "Q", "\x03", "\x1b"}:
                return
