"""The worker's side of the bond between a worker process and its parent.

Down standard input comes one JSON line with the configuration; after that the pipe stays open for
as long as the parent lives. When it closes, whatever the reason, the worker is gone: no engine
outlives the server, also when that was killed with -9. Up standard output go JSON lines: events.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from noibo.engines.isolation import room

PR_SET_PDEATHSIG = 1


def read_config(
    port: Callable[[], int] | None = None, gone: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Take the configuration, tie this process's life to the parent's, and close it off. `port`
    chooses the one that is to be listened on, where that must be known before. `gone` is what a
    process without an engine in it does when the parent has gone, before it ends. `keeps` in the
    configuration: folders in which it may leave things for its next start."""
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit("No configuration came on standard input: this program is started by noibo.")
    if gone is None:  # else it would not come to that
        _ask_kernel_to_kill_us()
    config = json.loads(line)
    assert isinstance(config, dict)  # noqa: S101 - our own parent wrote it
    if port is not None:
        config["listens_on"] = port()
    if "isolation" in config:
        own = {"port": config.get("listens_on", 0), "keeps": config.get("keeps", ())}
        announce("isolated", **room.enter(config["isolation"] | own).as_facts())
    watch = threading.Thread(target=_wait_for_parent_to_go, args=(gone,), daemon=True)
    watch.start()  # no thread before that
    return config


def ready(config: dict[str, Any], **facts: Any) -> None:
    """Tell the parent where this worker listens; from now on it opens no other socket."""
    if "isolation" in config:
        room.settle()
    announce("ready", **facts)


def fail(why: str) -> NoReturn:
    """End, and say why. Apart from the log, into which an engine may still write from a thread of
    its own what it did before."""
    announce("failed", why=why)
    sys.exit(why)


def end_as(code: int, otherwise: str) -> NoReturn:
    """End as a program has that this process was there for: by the same signal, or the same code;
    an end that was none of its own is told with `otherwise`."""
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code or otherwise)


def free_port() -> int:
    """A port of this machine that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def announce(event: str, **facts: Any) -> None:
    """Tell the parent something: what it is kept from, or a note on progress."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _wait_for_parent_to_go(gone: Callable[[], None] | None) -> None:
    while os.read(0, 4096):
        pass
    if gone is not None:
        gone()
    os._exit(0)


def _ask_kernel_to_kill_us() -> None:
    # The pipe is enough once we run; while an engine loads it may hold the interpreter's lock, and
    # then only the kernel can tell us that the parent has gone.
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
