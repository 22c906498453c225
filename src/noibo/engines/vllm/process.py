"""The child process beside vLLM's server. Started by `noibo.engines.worker` only.

It closes itself off from files first, and what it starts with it. It stays to pass on what vLLM
says, to tell when it serves, and to end as it ended.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from noibo.engines.child import announce, end_as, fail, free_port, read_config, ready
from noibo.engines.environments.bound import end_with_us
from noibo.engines.vllm import guard
from noibo.engines.vllm.arguments import GUARD, KEY_VARIABLE, MODULE, TEMPLATE_FILE
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
_SOON_S: Final = 5.0
_PAUSE_S: Final = 0.05


def main() -> None:
    config = read_config(gone=_end_all)
    announce("progress", note=f"starting vLLM for {config['alias']}")
    port = free_port()
    if config["template"]:
        Path(TEMPLATE_FILE).write_text(config["template"], encoding="utf-8")
    folder = str(Path.cwd())  # the worker's own
    own = {"HOME": folder, "TMPDIR": folder, "PYTHONPATH": str(_guarded())}
    environment = bare_environment() | own | config["variables"]
    environment |= {KEY_VARIABLE: config["api_key"]}
    where = ["--host", "127.0.0.1", "--port", str(port), "--middleware", f"{GUARD}.Guard"]
    try:
        process = subprocess.Popen(
            [config["python"], "-m", MODULE, *config["arguments"], *where],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=end_with_us,  # noqa: PLW1509 - the only other thread waits for a pipe
        )
    except OSError as exc:
        fail(f"{config['python']} could not be run: {exc}")
    _pass_on(process, config, port)
    end_as(process.wait(), "vLLM ended.")


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
    """When it answers, and not before: its log is too early. One that never does says nothing more
    either, and is given up by who waits for it."""
    while not _answers(port):
        time.sleep(_PAUSE_S)
    ready(config, url=f"http://127.0.0.1:{port}")


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_SOON_S)
        try:
            asked.request("GET", guard.OPEN)
            return asked.getresponse().status == http.client.OK
        finally:
            asked.close()
    return False


def _guarded() -> Path:
    """A folder from which vLLM's Python can import the guard, and nothing else of ours."""
    place = Path.cwd() / "guard"
    place.mkdir(exist_ok=True)
    text = Path(guard.__file__).read_text(encoding="utf-8")
    (place / f"{GUARD}.py").write_text(text, encoding="utf-8")
    return place


def _end_all() -> None:
    """The server is gone: so is vLLM with all its processes, of which not each ends by itself. They
    are in our group, which no other program is in."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
