"""One worker: one process that runs one model, as a state machine.

    NEW ──► STARTING ──► READY ──► STOPPING ──► STOPPED
                │           │          ▲
                ├───────────┼──────────┘
                └──► FAILED ◄┘

A worker lives once: a new start is a new worker. A start fails when it makes no progress (no word
from the child, no processor time, no growth in memory) for a while, never after a total: a large
model on a slow disk may take its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import psutil

from noibo import settings
from noibo.egress import require_loopback
from noibo.engines.engine import Engine, Launch, Model
from noibo.errors import EgressRefused, NoiboError, WorkerDied, WorkerStartFailed

log = logging.getLogger(__name__)

LINES_KEPT = 60
LINES_TOLD = 12


class State(Enum):
    """Where a worker is in its life."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


MOVES: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.STARTING, State.STOPPED}),
    State.STARTING: frozenset({State.READY, State.STOPPING, State.FAILED}),
    State.READY: frozenset({State.STOPPING, State.FAILED}),
    State.STOPPING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}


class Worker:
    """A child process with an address, a key, and callers that lease it."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        launch: Launch,
        limits: settings.Engine,
        on_end: Callable[[Worker], None] = lambda worker: None,
    ) -> None:
        self.engine = engine
        self.model = model
        self.launch = launch
        self.state = State.NEW
        self.url = ""
        self.key = secrets.token_urlsafe(24)
        self.leases = 0
        self.started_at = 0.0
        self.used_at = 0.0
        self.note = ""
        self.prefill_rate: float | None = None
        self.process: asyncio.subprocess.Process | None = None
        self._limits = limits
        self._on_end = on_end
        self._log: deque[str] = deque(maxlen=LINES_KEPT)
        self._heard = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._exit_note = ""

    # ── the life of it ──────────────────────────────────────────────────────

    def _move(self, state: State) -> None:
        if state not in MOVES[self.state]:
            raise RuntimeError(f"worker {self.model.name}: {self.state} cannot become {state}")
        log.info("worker %s (%s): %s", self.model.name, self.engine.name, state.value)
        self.state = state

    async def start(self) -> None:
        """Start the process and wait until it answers. Raises `WorkerStartFailed`."""
        self._move(State.STARTING)
        self.started_at = self.used_at = time.time()
        try:
            self.process = await asyncio.create_subprocess_exec(
                settings.python_executable(),
                "-m",
                self.launch.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=settings.bare_environment(),
                cwd=tempfile.gettempdir(),
                start_new_session=True,  # Ctrl-C in the terminal is for the server, not for us
                limit=2**20,
            )
            self._watch = asyncio.create_task(self._watch_process(self.process))
            await self._configure(self.process)
            await self._until_ready(self.process)
        except OSError as exc:
            await self._give_up(f"the process could not be started: {exc}")
        except BaseException:  # cancelled, or a worker that talks nonsense: no process is left
            await self.stop()
            raise
        self._move(State.READY)

    async def _configure(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - we asked for the pipe
        line = json.dumps(dict(self.launch.config) | {"api_key": self.key}) + "\n"
        process.stdin.write(line.encode())
        with contextlib.suppress(ConnectionError):  # its end is reported by _until_ready
            await process.stdin.drain()

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        progress = _Progress(process.pid)
        deadline = time.monotonic() + self._limits.start_stall_s
        while not self.url:
            if self._exit_note:
                await self._give_up(self._exit_note)
            if self._heard.is_set() or await asyncio.to_thread(progress.made):
                self._heard.clear()
                deadline = time.monotonic() + self._limits.start_stall_s
            if time.monotonic() > deadline:
                await self._give_up(f"no progress for {self._limits.start_stall_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), 0.25)

    async def _give_up(self, why: str) -> None:
        if self.state is State.STARTING:
            self._move(State.FAILED)
        await self._end_process()
        raise WorkerStartFailed(
            f"The model {self.model.name} did not start on {self.engine.name}: {why}."
            + self.last_lines(),
            next_step="`noibo inspect` shows what is in the file, `noibo doctor` what this "
            "machine can run.",
        )

    async def stop(self) -> None:
        """Ask the process to end, then make it."""
        if self.state is State.NEW:
            self._move(State.STOPPED)
        if self.state not in {State.STARTING, State.READY}:
            return
        self._move(State.STOPPING)
        await self._end_process()
        self._move(State.STOPPED)

    async def _end_process(self) -> None:
        if self.process is None or self._watch is None:
            return
        assert self.process.stdin is not None  # noqa: S101 - we asked for the pipe
        self.process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._watch), self._limits.stop_grace_s)
        except TimeoutError:
            self._kill(self.process.pid)
            await self._watch

    @staticmethod
    def _kill(pid: int) -> None:
        """The worker and all that it started: it leads a process group of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(pid, signal.SIGKILL)
            else:
                psutil.Process(pid).kill()

    async def _watch_process(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - we asked for the pipes
        assert process.stderr is not None  # noqa: S101
        talk = asyncio.gather(self._listen(process.stdout), self._keep_log(process.stderr))
        code = await _exit_code(process)
        try:
            await asyncio.wait_for(talk, 1.0)
        except (TimeoutError, OSError):
            self._kill(process.pid)  # a child of the worker's own holds its pipes: it goes too
        self._exit_note = describe_exit(code)
        self._heard.set()
        if self.state is State.READY:
            self._move(State.FAILED)
            log.error("worker %s %s", self.model.name, self._exit_note)
        self._on_end(self)

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        while (line := await _line(stream)) is not None:
            try:
                event = json.loads(line)
                if event["event"] == "ready":
                    self.prefill_rate = event.get("prefill_tokens_per_s")
                    self.url = require_loopback(event["url"])
                self.note = str(event.get("note", ""))
            except (ValueError, TypeError, KeyError, AttributeError, EgressRefused) as exc:
                self._log.append(line if isinstance(exc, ValueError) else f"{line} ({exc!r})")
                continue
            self._heard.set()

    async def _keep_log(self, stream: asyncio.StreamReader) -> None:
        while (line := await _line(stream)) is not None:
            self._log.append(line)
            self._heard.set()

    # ── what others ask of it ───────────────────────────────────────────────

    async def died(self) -> NoiboError:
        """The error for a request that this worker's end cut off."""
        if self._watch is not None:  # the connection breaks a moment before the exit is known
            await asyncio.wait([self._watch], timeout=1.0)
        what = self._exit_note or "stopped answering"
        return WorkerDied(
            f"The worker for {self.model.name} {what} while it answered." + self.last_lines(),
            next_step="Send the request again: a fresh worker starts by itself.",
        )

    def last_lines(self) -> str:
        """The end of the process's log, for an error message."""
        lines = [line for line in self._log if line.strip()][-LINES_TOLD:]
        return "\nIts last lines:\n  " + "\n  ".join(lines) if lines else ""

    def facts(self) -> dict[str, Any]:
        """What `noibo ps` shows."""
        return {
            "model": self.model.name,
            "engine": self.engine.name,
            "state": self.state.value,
            "note": self.note,
            "pid": self.process.pid if self.process else None,
            "requests": self.leases,
            "started_at": self.started_at,
            "used_at": self.used_at,
            "memory_bytes": _resident_bytes(self.process.pid) if self.process else 0,
            "placement": dict(self.launch.placement),
        }


class _Progress:
    """Whether a process did anything since last asked: processor time, memory."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen = (0.0, 0)

    def made(self) -> bool:
        try:
            process = psutil.Process(self._pid)
            times = process.cpu_times()
            now = (round(times.user + times.system, 1), process.memory_info().rss >> 20)
        except psutil.Error:
            return False
        moved, self._seen = now != self._seen, now
        return moved


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    known = {
        "SIGKILL": ", as when the system is out of memory",
        "SIGILL": ", an illegal instruction",
    }
    return f"was ended by {name}{known.get(name, '')}"


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


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
