"""A server for a command that needs one: the one that runs, else one started in the background.

Two commands at the same moment start one server: a lock in NOIBO_HOME lets the second see that the
first has started it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from noibo.client import Client, find_server
from noibo.errors import RequestFailed, ServerBusy, ServerUnreachable
from noibo.settings import Settings, full_environment, python_executable

PATIENCE_S = 60.0
LINES_TOLD = 12


def connect(tree: Settings) -> Client:
    """A client of this home's running server. Raises `ServerUnreachable` where none runs."""
    try:
        return _connect(tree, find_server(tree))
    except ServerBusy:
        if find_server(tree) == tree.url:
            raise
        return _connect(tree, tree.url)  # what server.json says is long gone


def _connect(tree: Settings, url: str) -> Client:
    client = Client(url)
    choose = "Choose another port: `noibo serve --port N`, or server.port in noibo.toml."
    try:
        status = client.status()
    except RequestFailed as exc:
        raise ServerBusy(
            f"Something answers at {url}, but it is not noibo ({exc.message}).", next_step=choose
        ) from exc
    if status.home is None or Path(status.home) != tree.home:
        where = status.home or "on another machine"
        raise ServerBusy(
            f"The noibo at {url} is another one: its home is {where}.", next_step=choose
        )
    return client


def connect_or_start(tree: Settings) -> Client:
    """A client of the running server, which is started if there is none."""
    try:
        return connect(tree)
    except ServerBusy:
        raise
    except ServerUnreachable:
        return _start(tree)


def _start(tree: Settings) -> Client:
    import filelock

    tree.home.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(tree.home / "server.lock", timeout=PATIENCE_S):
        try:
            return connect(tree)  # another command was faster
        except ServerBusy:
            raise
        except ServerUnreachable:
            log = tree.home / "logs" / "server.log"
            log.parent.mkdir(exist_ok=True)
            client = _spawn(tree, log)
    print(
        f"Started a noibo server in the background on {client.base_url} "
        f"(`noibo stop` ends it; its log is {log}).",
        file=sys.stderr,
    )
    return client


def _same_settings(tree: Settings) -> dict[str, str]:
    same = {"NOIBO_HOME": str(tree.home)}
    if tree.file.exists():
        same["NOIBO_CONFIG"] = str(tree.file)
    if tree.store.path:
        same["NOIBO_STORE_PATH"] = tree.store.path
    return same


def _spawn(tree: Settings, log: Path) -> Client:
    with log.open("ab") as file:
        process = subprocess.Popen(
            [python_executable(), "-m", "noibo", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=tree.home,
            env=full_environment() | _same_settings(tree),
        )
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            return connect(tree)
        except ServerBusy:
            raise
        except ServerUnreachable:
            time.sleep(0.05)
    lines = log.read_text(errors="replace").splitlines()[-LINES_TOLD:]
    raise ServerUnreachable(
        "A server could not be started in the background. Its last lines:\n  " + "\n  ".join(lines),
        next_step="`noibo serve` starts it here, where you can see what it says.",
    )
