"""Whether workers are closed off here: a process enters their room and tries to get out."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from noibo.cli.doctor_checks import Finding, Level
from noibo.settings import Settings, bare_environment, python_executable

TRIAL: Final = "noibo.engines.isolation.trial"
PATIENCE_S: Final = 60.0
WHY: Final = "A harmful model file may then do what you may do: "
ADVICE: Final = "Run only models whose origin you trust here."
BEST: Final = " Linux 6.7 or newer, with Landlock and seccomp switched on, closes workers off."


def workers(tree: Settings) -> Iterator[Finding]:
    """Files, network and signals are out of a worker's reach."""
    said = _tried()
    kept, can = said["kept"], said["can"]
    if not can and not kept["missing"]:
        yield Finding(Level.OK, f"workers are closed off: {_what(kept)}")
        return
    lacks = "".join(f"\nnot available: {one}" for one in kept["missing"])
    if can:
        text = f"Workers are not closed off: they can {', '.join(can)}.{lacks}"
        yield Finding(Level.WARNING, text, WHY + ADVICE + BEST)
    else:
        text = f"Workers are closed off, but not in all: {_what(kept)}.{lacks}"
        yield Finding(Level.WARNING, text, ADVICE + BEST)


def _what(kept: dict[str, Any]) -> str:
    """What is closed and by what, in words."""
    closed = ["files"] * kept["files"] + [
        name.upper() for name in kept["network"].split("+") if name
    ]
    by = [f"Landlock ABI {kept['abi']}"] * bool(kept["abi"]) + ["seccomp"] * kept["seccomp"]
    return f"{', '.join(closed)} ({', '.join(by)})" if by else "limits only"


def _tried() -> dict[str, Any]:
    """What the trial says. Raises `RuntimeError` with its last words if it says nothing."""
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as outside:
        file = Path(outside) / "private"
        file.write_text("a secret")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            room: dict[str, Any] = {
                "folder": own,
                "reads": [],
                "memory_bytes": None,
                "open_files": 64,
            }
            config = {"file": str(file), "folder": outside, "port": listener.getsockname()[1]}
            done = subprocess.run(
                [python_executable(), "-m", TRIAL],
                input=json.dumps(config | {"isolation": room}),
                env=bare_environment(),
                cwd=own,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
                check=False,
            )
    if done.returncode != 0:
        raise RuntimeError(f"the trial worker failed: {done.stderr.strip()[-300:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said
