"""Real clients, each in the surroundings it comes with: one virtual environment for those in
Python, one `node_modules` for those of npm. Both are made once and kept in `.cache/clients`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.chaos.echoes import Scripts, echoes
from tests.conftest import CACHE
from tests.running import RunningServer

HERE = Path(__file__).parent
PLACE = CACHE / "clients"
Told = dict[str, dict[str, Any]]
# Whether a small model calls a tool is its own choice, and not all clients can force it to.
CALLER: Scripts = {"caller": {"calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}}


def environment(name: str) -> Path:
    """The interpreter of the environment that `NAME.txt` lists; it is made of `NAME.in` with
    `uv pip compile --no-annotate`."""
    wanted = HERE / f"{name}.txt"
    made = PLACE / f"{name}-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    with FileLock(CACHE / "clients.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            pip = [made / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps"]
            subprocess.run([*pip, "-r", wanted], check=True)
            (made / "complete").touch()
    return made / "bin" / "python"


@pytest.fixture(scope="session")
def python_clients() -> Path:
    """The interpreter of an environment with every client in Python but oterm."""
    return environment("clients")


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """A folder with the scripts for node and what they import."""
    wanted = HERE / "node" / "package.json"
    made = PLACE / f"node-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    with FileLock(CACHE / "clients.lock"):
        if not (made / "node_modules").exists():
            made.mkdir(parents=True, exist_ok=True)
            shutil.copy(wanted, made)
            npm = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(npm, cwd=made, check=True)
        for script in (HERE / "node").glob("*.mjs"):
            shutil.copy(script, made)
    return made


@pytest.fixture(scope="session")
def client_server(
    model_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """The server that all clients ask: a real model, and a scripted one that calls a tool."""
    home = tmp_path_factory.mktemp("clients") / "home"
    environ = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_ENGINE_CTX_SIZE": "2048"}
    with echoes(home, CALLER, **environ) as server:
        server.load("smollm2:135m")
        yield server


@pytest.fixture(scope="session")
def told(client_server: RunningServer, request: pytest.FixtureRequest) -> Callable[[str], Told]:
    """What a client's script tells: each is run once."""

    @cache
    def tell(client: str) -> Told:
        if client.startswith("node/"):
            folder = request.getfixturevalue("node_clients")
            command = ["node", str(folder / f"{client[5:]}_client.mjs")]
        else:
            python = request.getfixturevalue("python_clients")
            command = [str(python), str(HERE / "scripts" / f"{client}_client.py")]
        done = subprocess.run(
            [*command, client_server.url, "smollm2:135m"],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, done.stderr
        return {line["call"]: line for line in lines}

    return tell


def _environment() -> dict[str, str]:
    """A user's, without settings of any of the clients, and with nothing told to anybody."""
    names = ("OPENAI_", "OLLAMA_", "ANTHROPIC_", "LANGCHAIN_", "LITELLM_", "NOIBO_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return kept | {"DO_NOT_TRACK": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
