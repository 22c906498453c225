"""In the lifespan of an application of one's own, and noibo's own application: on real ports."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from noibo.llm_service import LLMService
from noibo.settings import load
from tests.running import RunningServer, clean_environment, run_noibo, until

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).parent.parent.parent


@dataclass
class Uvicorn:
    """`uvicorn APP` on a free port."""

    process: subprocess.Popen[str]
    log: Path
    url: str = ""

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(self.url + path, headers=headers, timeout=60)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def uvicorn(app: str, home: Path, **environ: str) -> Iterator[Uvicorn]:
    """Until it is left, or was ended before."""
    log = home.parent / "uvicorn.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", app, "--port", "0", "--app-dir", str(ROOT)],
            env=clean_environment(home) | environ,
            stdout=subprocess.DEVNULL,
            stderr=out,
            text=True,
        )
    found = Uvicorn(process, log)
    try:
        until(lambda: "Uvicorn running on " in log.read_text() or process.poll() is not None, "up")
        assert process.poll() is None, log.read_text()
        found.url = log.read_text().split("Uvicorn running on ")[1].split()[0]
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_a_service_in_the_lifespan_of_an_application(home: Path) -> None:
    app = "tests.llm_service.application:app"
    with uvicorn(app, home, LLM_MODEL_PATH="echo") as server:
        pid = server.get("/pid").json()
        paths = [f"/{kind}?question=Xin" for kind in ("plain", "waiting", "streaming")] * 8
        with ThreadPoolExecutor(12) as threads:
            said = [one.text for one in threads.map(server.get, paths)]
        assert set(said) == {'{"answer":"Xin"}', "Xin"}
        assert server.get("/pid").json() == pid
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) in {0, -signal.SIGTERM}
        assert not psutil.pid_exists(pid)
        assert "Traceback" not in server.log.read_text()


def test_a_service_asks_a_model_of_another_server(home: Path, server: RunningServer) -> None:
    lines = ['[models."there"]', 'engine = "remote"', f'base_url = "{server.url}/v1"']
    own = home.parent / "own.toml"
    own.write_text("\n".join([*lines, 'model = "echo"']))
    with LLMService("there", tree=load(config=own)) as service:
        answer = service.generate_answer("Xin chào")
        assert (answer, answer.taken.tokens) == ("Xin chào", 2)
        assert "its engine, remote" in service.optimize_for_gpu(load_in_8bit=True)
        info = service.get_model_info()
        assert (info["loaded"], info["pid"], info["gpu_memory_allocated"]) == (True, 0, 0.0)


def test_noibos_own_application_answers_and_stops_its_workers(home: Path) -> None:
    with uvicorn("noibo.asgi:app", home, NOIBO_LOG_FORMAT="json") as server:
        body = {"model": "echo", "messages": [{"role": "user", "content": "Xin chào"}]}
        answer = httpx2.post(server.url + "/v1/chat/completions", json=body, timeout=60).json()
        assert answer["choices"][0]["message"]["content"] == "Xin chào"
        (worker,) = server.workers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) in {0, -signal.SIGTERM}
        assert not worker.is_running()
        logged = server.log.read_text()
        assert "Traceback" not in logged
        assert '"logger":"noibo.' in logged  # as a server's own: without what exceptions say


def test_what_came_through_a_proxy_needs_a_key(home: Path) -> None:
    key = run_noibo("key", "create", "app", home=home).stdout.split()
    (token,) = [word for word in key if word.startswith("noibo_")]
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    with uvicorn("noibo.asgi:app", home) as server:
        assert server.get("/v1/models").status_code == 200
        assert server.get("/v1/models", **forwarded).status_code == 401
        allowed = server.get("/v1/models", **forwarded, Authorization=f"Bearer {token}")
        assert allowed.status_code == 200


def test_a_setting_that_wants_keys_wants_them_of_everybody(home: Path) -> None:
    with uvicorn("noibo.asgi:app", home, NOIBO_SERVER_REQUIRE_KEY="1") as server:
        assert server.get("/v1/models").status_code == 401
        assert server.get("/health").status_code == 200


def test_settings_that_cannot_be_stop_it_with_their_reason(home: Path) -> None:
    with (
        pytest.raises(AssertionError, match="NOIBO_SERVER_PROT"),
        uvicorn("noibo.asgi:app", home, NOIBO_SERVER_PROT="1"),
    ):
        pass


def test_a_service_works_inside_a_servers_own_process(home: Path) -> None:
    """Both at once in one process, and nothing of the service is counted as the server's."""
    code = """
import asyncio, os, threading, urllib.request
import uvicorn
from noibo.asgi import app
from noibo.llm_service import LLMService

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with LLMService("echo") as service:
        print(await service.generate_answer_async("Xin"))
        url = f"http://127.0.0.1:{port}/noibo/v1/workers"
        print((await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode())
    server.should_exit = True
    await serving

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer, workers = done.stdout.splitlines()
    assert answer == "Xin"
    assert '"model":"echo"' not in workers.replace(" ", "")
