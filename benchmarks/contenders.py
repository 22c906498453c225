"""What stands between a caller and a server of models, each started as its users start it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.fake_upstream import KEY, TEXT
from benchmarks.measuring import CACHE

LITELLM = "1.105.0"
PATH = "/v1/chat/completions"
CHAT: dict[str, Any] = {
    "model": "mock",
    "messages": [
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "How does a rainbow come about?"},
    ],
    "temperature": 0,
}
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that runs. `guarded`: it lets nobody in without a key."""

    name: str
    url: str
    key: str
    process: psutil.Process
    ready_s: float
    guarded: bool = False

    def memory_mb(self) -> float:
        """What it and its children hold, in megabytes."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(one.memory_info().rss for one in family) / 1e6

    def check(self) -> None:
        """Its answers are the upstream's, and nobody gets one without a key."""
        with httpx2.Client(base_url=self.url, timeout=30) as client:
            signed = {"Authorization": f"Bearer {self.key}"}
            whole = client.post(PATH, json=CHAT, headers=signed).json()
            assert whole["choices"][0]["message"]["content"] == TEXT, (self.name, whole)
            said = client.post(PATH, json=CHAT | {"stream": True}, headers=signed).text
            assert told(said) == TEXT, (self.name, said[:500])
            if self.guarded:
                for other in ({}, {"Authorization": f"Bearer {self.key[:-1]}x"}):
                    status = client.post(PATH, json=CHAT, headers=other).status_code
                    assert status >= 400, (self.name, status)


def told(stream: str) -> str:
    """What a stream says."""
    said = ""
    for line in stream.splitlines():
        data = line.removeprefix("data: ").strip()
        if line.startswith("data: ") and data != "[DONE]":
            choices = json.loads(data)["choices"]
            said += (choices[0]["delta"].get("content") or "") if choices else ""
    return said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(  # noqa: PLR0917 - what it is, and how it is started
    name: str,
    command: list[str],
    port: int,
    key: str = KEY,
    environ: Mapping[str, str] | None = None,
    log: Path | None = None,
    *,
    guarded: bool = False,
) -> Iterator[Contender]:
    """The server that a command starts, when it has answered its first chat."""
    url, began = f"http://127.0.0.1:{port}", time.perf_counter()
    with (log or Path(os.devnull)).open("ab") as said:
        process = subprocess.Popen(command, env=environ, stdout=said, stderr=said)
    try:
        with httpx2.Client(base_url=url, timeout=30) as client:
            while not _answers(client, key):
                assert process.poll() is None, f"{name} ended: {log and log.read_text()[-2000:]}"
                assert time.perf_counter() - began < PATIENCE_S, f"{name} does not answer"
                time.sleep(0.01)
        took = time.perf_counter() - began
        yield Contender(name, url, key, psutil.Process(process.pid), took, guarded)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _answers(client: httpx2.Client, key: str) -> bool:
    try:
        signed = {"Authorization": f"Bearer {key}"}
        return client.post(PATH, json=CHAT, headers=signed).status_code == 200
    except httpx2.TransportError:
        return False


@contextlib.contextmanager
def upstream() -> Iterator[Contender]:
    """The fake server of models itself."""
    port = free_port()
    with running(
        "upstream", [sys.executable, "-m", "benchmarks.fake_upstream", str(port)], port
    ) as found:
        yield found


@contextlib.contextmanager
def floor(model: Contender, folder: Path) -> Iterator[Contender]:
    """The least that a relay in Python is."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare_relay", str(port), f"{model.url}/v1"]
    with running("floor", command, port, log=folder / "floor.log") as found:
        yield found


@contextlib.contextmanager
def noibo(model: Contender, folder: Path) -> Iterator[Contender]:
    """noibo, with a key that it checks and metrics on."""
    home, port = folder / "home", free_port()
    home.mkdir()
    (home / "noibo.toml").write_text(
        f'[server]\nrequire_key = true\n\n[models.mock]\nengine = "remote"\n'
        f'base_url = "{model.url}/v1"\napi_key = "{KEY}"\n'
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("NOIBO_")}
    environ["NOIBO_HOME"] = str(home)
    made = subprocess.run(
        [sys.executable, "-m", "noibo", "key", "create", "bench"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    key = next(word for word in made.stdout.split() if word.startswith("noibo_"))
    command = [sys.executable, "-m", "noibo", "serve", "--no-web", "--port", str(port)]
    log = folder / "noibo.log"
    with running("noibo", command, port, key, environ, log, guarded=True) as found:
        yield found


@contextlib.contextmanager
def litellm(model: Contender, folder: Path) -> Iterator[Contender]:
    """LiteLLM's proxy, with one worker and its key."""
    port, key = free_port(), "sk-litellm"
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: mock\n    litellm_params:\n      model: openai/mock\n"
        f"      api_base: {model.url}/v1\n      api_key: {KEY}\n"
        f"general_settings:\n  master_key: {key}\n"
    )
    environ = dict(os.environ) | {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list
        "LITELLM_LOG": "ERROR",
        "NO_DOCS": "True",
    }
    entry = "from litellm import run_server; run_server()"
    command = [str(litellm_python()), "-c", entry, "--config", str(config), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    log = folder / "litellm.log"
    with running("litellm", command, port, key, environ, log, guarded=True) as found:
        yield found


def litellm_python() -> Path:
    """The interpreter of its own environment, which is made once."""
    place = CACHE / "peers" / f"litellm-{LITELLM}"
    python = place / "bin" / "python"
    if not (place / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", f"litellm[proxy]=={LITELLM}"]
        subprocess.run(pip, check=True)
        (place / "made").touch()
    return python
