"""A pull from beginning to end, shown; Ctrl-C stops it and keeps what is here."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from noibo.cli.context import settings
from noibo.cli.models_service import ModelService, model_service
from noibo.cli.pull_view import View, view
from noibo.errors import BadReference, NoiboError
from noibo.modelstore.origin import WEIGHTS, Local, Named, parse
from noibo.wire.models import ErrorRow, ModelRow, ProgressRow

_LEFT_WITHIN_S: Final = 1.0  # the server sees by then that we have hung up


def pull_shown(text: str, name: str | None = None, json: bool = False) -> ModelRow:
    """Pull a model and show how it goes: on standard error, or as lines of JSON on the output."""
    if not json:
        with model_service(settings()) as models, view() as show:
            return _follow(models, text, name, show)
    try:
        with model_service(settings()) as models, JsonLines() as lines:
            row = _follow(models, text, name, lines)
    except NoiboError as exc:
        _print_event("error", ErrorRow.of(exc))
        raise
    _print_event("done", row)
    return row


def _follow(models: ModelService, text: str, name: str | None, show: View) -> ModelRow:
    pull_id = ""
    try:
        with HeldInterrupt() as interrupt, _files_meant(text):
            for event in models.pull(_absolute(text), name):
                if isinstance(event, ModelRow):
                    return event
                pull_id = event.pull
                interrupt.let_go()
                show(event)
    except KeyboardInterrupt:
        print(f"\n{_stop(models, pull_id)}", file=sys.stderr)
        raise
    raise AssertionError("a pull ends with a model or an error")


class HeldInterrupt:
    """Ctrl-C, held back until we know what there is to stop. A second one is not held."""

    def __init__(self) -> None:
        self._holds = False
        self._came = False

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._holds = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def let_go(self) -> None:
        """From now on it comes through; raises the one that came meanwhile."""
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._holds = False
            if self._came:
                raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        if self._came:
            raise KeyboardInterrupt
        self._came = True


def _stop(models: ModelService, pull_id: str) -> str:
    """Stop a pull that nobody else waits for; what has become of it, in words."""
    until = time.monotonic() + _LEFT_WITHIN_S
    try:
        while pull_id:
            waiting = [one.watchers for one in models.pulls() if one.id == pull_id]
            if not any(waiting):
                models.cancel_pull(pull_id)
                break
            if time.monotonic() > until:
                return "Somebody else waits for it too: it goes on without you."
            time.sleep(0.05)
    except NoiboError:
        pass  # its server has gone, and the pull with it
    return "Stopped. What is here is kept; the same command goes on where it stopped."


@contextlib.contextmanager
def _files_meant(text: str) -> Iterator[None]:
    """Whoever types `model.gguf` means a file: nobody is asked for a model of the name of one that
    is here, and what goes wrong with another ends with how to say it."""
    if not text.lower().endswith(WEIGHTS) or not isinstance(parse(text), Named):
        yield
        return
    step = f"A file is written with a path: `noibo pull ./{text}`."
    if Path(text).exists():
        said = f"{text} is read as the name of a model, and a file of that name is here."
        raise BadReference(said, next_step=step)
    try:
        yield
    except NoiboError as error:
        error.next_step = f"{step} {error.next_step}".strip()
        raise


def _absolute(text: str) -> str:
    """What was typed; a path as the server, in another folder, would have to be told it."""
    origin = parse(text)
    if not isinstance(origin, Local):
        return text
    slash = "/" if text.endswith(("/", "\\")) else ""
    return f"{origin.path.expanduser().absolute()}{slash}"


class JsonLines:
    """Every event as a line of JSON on standard output."""

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: ProgressRow, /) -> None:
        _print_event("progress", progress)


def _print_event(kind: str, row: Any) -> None:
    print(dumps({"event": kind, **msgspec.to_builtins(row)}), flush=True)
