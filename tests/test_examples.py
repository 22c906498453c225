"""The examples run: the seeds' snippets, with nothing but the address changed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.llm_service.test_asgi import uvicorn
from tests.running import RunningServer, clean_environment, until

EXAMPLES = Path(__file__).parent.parent / "examples"


def environment(server: RunningServer) -> dict[str, str]:
    here = str(Path(sys.executable).parent)
    return clean_environment(server.home) | {
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "PATH": f"{here}:{os.environ['PATH']}",
    }


def output(server: RunningServer, *command: str) -> str:
    return subprocess.run(
        command, env=environment(server), capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_the_official_client(real_server: RunningServer) -> None:
    assert len(output(real_server, sys.executable, str(EXAMPLES / "openai_client.py"))) > 20


def test_noibos_own_client(real_server: RunningServer) -> None:
    said = output(real_server, sys.executable, str(EXAMPLES / "streaming.py"))
    assert "tokens from smollm2:135m" in said


def test_curl(real_server: RunningServer) -> None:
    answer = json.loads(output(real_server, "sh", str(EXAMPLES / "chat.sh")))
    assert answer["choices"][0]["message"]["content"]


def test_a_file_of_ones_own_on_another_port(home: Path, smollm2_gguf: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here = str(Path(sys.executable).parent)
    environ = clean_environment(home) | {"PATH": f"{here}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["sh", str(EXAMPLES / "own_file.sh"), str(smollm2_gguf), str(port)],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:

        def ready() -> bool:
            assert process.poll() is None
            try:
                return httpx2.get(f"http://127.0.0.1:{port}/ready").status_code == 200
            except httpx2.TransportError:
                return False

        until(ready, "the server with the user's own file is ready")
        body = {"model": "mine", "prompt": "The sky is", "max_tokens": 3}
        answer = httpx2.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60)
        assert answer.json()["model"] == "mine:latest"
        assert answer.json()["usage"]["completion_tokens"] == 3
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.heavy
def test_a_model_in_a_program(home: Path, model_store: Path) -> None:
    own = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_ENGINE_THREADS": "1"}
    environ = clean_environment(home) | own
    command = [sys.executable, str(EXAMPLES / "llm_service.py")]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Hanoi" in done.stdout
    assert "smollm2:135m on cpu" in done.stdout


@pytest.mark.heavy
def test_a_model_in_an_application(home: Path) -> None:
    environ = {"LLM_MODEL_PATH": "echo", "PYTHONPATH": str(EXAMPLES)}
    with uvicorn("llm_service_app:app", home, **environ) as server:
        assert server.get("/ask?question=Xin").json() == {"answer": "Xin"}
        assert server.get("/stream?question=Xin").text == "Xin"
