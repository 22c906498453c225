"""A child process of ours: told its configuration, listened to, and ended with all it started.

Down its standard input goes one JSON line; up its standard output come events, one JSON line each;
its standard error is its log, of which the end is kept. It gets a folder of its own, which goes
with it, and the least of the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from noibo import settings
from noibo.engines.environments.command import command
from noibo.modelstore.printable import shown

LINES_KEPT = 400
LONGEST_LINE = 2000  # characters of a line that are kept
MOST_WRITTEN = 2**30  # bytes in its folder
FOLDER = "noibo-worker-"
Event = dict[str, Any]


class ChildProcess:
    """One run of a module of ours; `python` is the interpreter, where that is not our own.
    `on_event` is given each event and raises on nonsense."""

    def __init__(self, module: str, on_event: Callable[[Event], None], python: str = "") -> None:
        self.exit_code: int | None = None
        self.heard = asyncio.Event()  # anything came from it, or it ended
        self.folder = Path()
        self._command = command(module, python)
        self._on_event = on_event
        self._log: deque[str] = deque(maxlen=LINES_KEPT)
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, config: Mapping[str, Any], isolation: Mapping[str, Any] | None) -> None:
        """Start it, in a folder of its own; `isolation` says what else it may touch, None: all.
        Raises OSError."""
        self.folder = await asyncio.to_thread(_new_folder)
        folder = str(self.folder)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=settings.bare_environment() | {"TMPDIR": folder, "HOME": folder},
                cwd=folder,
                start_new_session=True,  # Ctrl-C in the terminal is for the server, not for us
                limit=2**20,
            )
        except BaseException:
            await self._remove_folder()
            raise
        self._watch = asyncio.create_task(self._watch_over(self._process))
        try:
            await self._tell(self._process, config, isolation)
        except BaseException:  # nobody would own it
            self.kill()
            await asyncio.shield(self._watch)
            raise

    async def _tell(
        self,
        process: asyncio.subprocess.Process,
        config: Mapping[str, Any],
        isolation: Mapping[str, Any] | None,
    ) -> None:
        if isolation is not None:
            config = {**config, "isolation": {**isolation, "folder": str(self.folder)}}
        assert process.stdin is not None  # noqa: S101 - we asked for the pipe
        process.stdin.write(json.dumps(config).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # that it ended is reported by the watch
            await process.stdin.drain()

    @property
    def pid(self) -> int:
        """Its process id. Only once it was started."""
        assert self._process is not None  # noqa: S101 - see above
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it has ended: known at once, before its pipes are read to their end."""
        return self._process is not None and self._process.returncode is not None

    def wrote(self) -> int:
        """Bytes in its folder."""
        with contextlib.suppress(OSError):
            return sum(one.stat().st_size for one in self.folder.rglob("*") if one.is_file())
        return 0

    def log(self) -> list[str]:
        """The last lines of its log."""
        return list(self._log)

    async def ended(self, within_s: float | None = None) -> bool:
        """Wait for its end; False when that takes longer than `within_s`."""
        if self._watch is None:
            return True
        done, _ = await asyncio.wait({self._watch}, timeout=within_s)
        return bool(done)

    async def end(self, grace_s: float) -> None:
        """Ask it to end, then make it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        if not await self.ended(grace_s):
            self.kill()
            await self.ended()

    def kill(self) -> None:
        """End it and all that it started: it leads a process group of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, signal.SIGKILL)
            else:
                psutil.Process(self.pid).kill()

    async def _watch_over(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - we asked for the pipes
        assert process.stderr is not None  # noqa: S101
        talk = asyncio.gather(self._listen(process.stdout), self._keep_log(process.stderr))
        code = await _exit_code(process)
        with contextlib.suppress(TimeoutError, OSError):  # a child of its own may hold its pipes
            await asyncio.wait_for(talk, 1.0)
        self.kill()  # and whatever it has started
        await self._remove_folder()
        self.exit_code = code
        self.heard.set()

    async def _remove_folder(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        while (line := await _line(stream)) is not None:
            try:
                event = json.loads(line)
                self._on_event(event)
            except ValueError:
                self._keep(line)
            except Exception as exc:  # noqa: BLE001 - whatever it says, it is only kept
                self._keep(f"{line[:LONGEST_LINE]} ({exc!r})")
            else:
                self.heard.set()

    async def _keep_log(self, stream: asyncio.StreamReader) -> None:
        while (line := await _line(stream)) is not None:
            self._keep(line)
            self.heard.set()

    def _keep(self, line: str) -> None:
        """A line of its log, as one that can be shown: it may come from a hostile file."""
        self._log.append(shown(line, LONGEST_LINE))


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))


def sweep_folders() -> None:
    """Remove the folders of workers whose server was killed before it could. In a container the
    next server has the same number: one that began after the folder was made is another."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        server = folder.name.removeprefix(FOLDER).partition("-")[0]
        if server.isdecimal() and not _serves(int(server), folder):
            shutil.rmtree(folder, ignore_errors=True)


def _serves(server: int, folder: Path) -> bool:
    """Whether that process made the folder, and lives. Starts are known to a second."""
    try:
        return psutil.Process(server).create_time() <= folder.stat().st_mtime + 1
    except (psutil.Error, OSError):
        return False


async def _exit_code(process: asyncio.subprocess.Process) -> int:
    """The exit code as soon as there is one: `wait` alone may wait for the pipes too."""
    waiting = asyncio.ensure_future(process.wait())
    while process.returncode is None:
        await asyncio.wait({waiting}, timeout=0.5)
    waiting.cancel()
    return process.returncode


async def _line(stream: asyncio.StreamReader) -> str | None:
    """The next line without its end, or None when there is no more."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the buffer: passed over
            continue
        return line.decode(errors="replace").rstrip("\r\n") if line else None
