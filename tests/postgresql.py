"""A real PostgreSQL server of one test run, on a free port, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ONE_WHO_IS_NOT_ROOT = "nobody"


@contextlib.contextmanager
def running_postgresql() -> Iterator[str]:
    """Its URL. Skipped where PostgreSQL is not installed, except in CI."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="noibo-pg-"))
    data = folder / "data"
    port = _free_port()
    who = _as_another(folder)
    said = {"cwd": "/", "stdout": subprocess.DEVNULL, "user": who}
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "noibo", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--no-sync"], check=True, **said)
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off"
        control = [binaries / "pg_ctl", "-D", data]
        subprocess.run(
            [*control, "-w", "-o", options, "-l", folder / "log", "start"], check=True, **said
        )
        try:
            yield f"postgresql+asyncpg://noibo@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **said)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def _as_another(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: then as somebody else, who owns the folder."""
    if os.geteuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    who = "postgres" if "postgres" in names else _ONE_WHO_IS_NOT_ROOT
    shutil.chown(folder, who)
    return who


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
