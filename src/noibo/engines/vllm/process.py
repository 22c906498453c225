"""The child process beside vLLM's server. Started by `noibo.engines.worker` only.

It closes itself off from files first, and what it starts with it. It stays to pass on what vLLM
says, to tell when it serves, and to end as it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, NoReturn

from noibo.engines.child import PR_SET_PDEATHSIG, announce, fail, read_config, ready
from noibo.engines.vllm.arguments import KEY_VARIABLE, MODULE, TEMPLATE_FILE
from noibo.settings import bare_environment

# Its log, when it is about to take requests.
SERVES: Final = re.compile(r"Application startup complete|Uvicorn running on")
# What it says while it loads that is worth telling who waits.
_NOTES: Final = (
    (re.compile(r"Starting to load model"), "loading the weights"),
    (re.compile(r"checkpoint shards: +(\d+)%"), "loading the weights, {0} %"),
    (re.compile(r"torch\.compile|[Cc]ompil(?:ing|ation)"), "compiling for this processor"),
    (re.compile(r"[Cc]apturing CUDA graphs"), "recording what the GPU is to do"),
    (re.compile(r"Uvicorn|Starting vLLM"), "starting its server"),
)
_SOON_S: Final = 30.0
_PAUSE_S: Final = 0.05


def main() -> None:
    config = read_config()
    announce("progress", note=f"starting vLLM for {config['alias']}")
    port = _free_port()
    if config["template"]:
        Path(TEMPLATE_FILE).write_text(config["template"], encoding="utf-8")
    folder = str(Path.cwd())  # the worker's own
    own = {"HOME": folder, "TMPDIR": folder}
    environment = bare_environment() | own | config["variables"]
    environment |= {KEY_VARIABLE: config["api_key"]}
    where = ["--host", "127.0.0.1", "--port", str(port)]
    try:
        process = subprocess.Popen(
            [config["python"], "-m", MODULE, *config["arguments"], *where],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_end_with_us,  # noqa: PLW1509 - the only other thread waits for a pipe
        )
    except OSError as exc:
        fail(f"{config['python']} could not be run: {exc}")
    _pass_on(process, config, port)
    _end_as(process.wait())


def _pass_on(process: subprocess.Popen[str], config: dict[str, Any], port: int) -> None:
    """Its log is ours; one line of it says that it serves, or is about to."""
    assert process.stdout is not None  # noqa: S101 - we asked for the pipe
    serves, noted = False, ""
    for line in process.stdout:
        sys.stderr.write(line.replace(config["api_key"], "…"))
        sys.stderr.flush()
        if not serves and SERVES.search(line):
            serves = True
            threading.Thread(target=_say_ready, args=(config, port), daemon=True).start()
        elif not serves and (note := _note(line)) not in {"", noted}:
            noted = note
            announce("progress", note=note)


def _note(line: str) -> str:
    for pattern, said in _NOTES:
        if found := pattern.search(line):
            return said.format(*found.groups())
    return ""


def _say_ready(config: dict[str, Any], port: int) -> None:
    """When it answers: its log is a moment too early."""
    until = time.monotonic() + _SOON_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_SOON_S)
            try:
                asked.request("GET", "/health")
                if asked.getresponse().status == http.client.OK:
                    break
            finally:
                asked.close()
        time.sleep(_PAUSE_S)
    ready(config, url=f"http://127.0.0.1:{port}")


def _end_as(code: int) -> NoReturn:
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code or "vLLM ended.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_us() -> None:
    """The kernel ends it when this process is gone, however that went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
