"""The llama-server of this machine: where it is, and what it says of itself, asked in processes of
their own. A build that cannot run here dies there."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from noibo.engines.faults import diagnose
from noibo.engines.llama_server.flags import Build, devices
from noibo.errors import EngineMissing, EngineUnusable
from noibo.hardware.offload import Usable
from noibo.settings import bare_environment

NAME: Final = "llama-server"
PATIENCE_S: Final = 30.0
INSTALL: Final = (
    "Install llama.cpp (`brew install llama.cpp`, `winget install llama.cpp`, or build it) so that "
    "llama-server is on PATH, or set engine.llama_server to its path."
)


def find(path: str) -> Path:
    """The program: at `path`, else on PATH. Raises `EngineMissing`."""
    found = shutil.which(str(Path(path).expanduser()) if path else NAME)
    if found is None:
        where = f"at {path} (engine.llama_server)" if path else "on PATH"
        raise EngineMissing(f"There is no llama-server {where}.", next_step=INSTALL)
    return Path(found).resolve()


def build_of(program: Path) -> Build:
    """What it says of itself; asked once for each state of the file. Raises `EngineUnusable`."""
    stat = program.stat()
    return _asked(program, stat.st_mtime_ns, stat.st_size)


def runs(program: Path) -> Iterator[Path]:
    """What may be run besides what every worker may: the program, and the libraries beside it."""
    yield program
    for folder in (program.parent, program.parent.parent / "lib"):
        for pattern in ("*.so", "*.so.*", "*.dylib"):
            yield from folder.glob(pattern)


def usable(program: Path) -> Usable:
    """The GPUs that it can use; none where it cannot say."""
    if not build_of(program).knows("--list-devices"):
        return Usable()
    return Usable(devices(_said(program, "--list-devices")))


@functools.lru_cache(maxsize=8)
def _asked(program: Path, changed: int, size: int) -> Build:
    return Build.of(_said(program, "--version"), _said(program, "--help"))


def _said(program: Path, option: str) -> str:
    """All that it writes. Raises `EngineUnusable`."""
    try:
        answer = subprocess.run(
            [program, option],
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EngineUnusable(
            f"{program} cannot be run: {exc}.",
            next_step="Set engine.llama_server to a program that runs here.",
        ) from exc
    if answer.returncode < 0:
        raise EngineUnusable(
            f"{program} cannot run here: asked for {option} it "
            f"{diagnose(answer.returncode, ()).text}.",
            next_step="Build llama.cpp on this machine, or take the build for its processor.",
        )
    return answer.stdout
