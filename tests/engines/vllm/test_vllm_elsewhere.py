"""vLLM's own server, started as its users start it, as what `auto` asks elsewhere."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from noibo.egress_ledger import departures
from noibo.engines.child import free_port
from tests.gateway.leaving.test_routed import CHAT, EASY, HARD, chat, route
from tests.running import RunningServer

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
EMAIL = "lan.nguyen@congty-abc.vn"
KEY = "sk-vllm"
PATIENCE_S = 400


@pytest.fixture(scope="module")
def vllm(
    vllm_environment: Path, smollm2_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("vllm")
    command = [str(vllm_environment / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(smollm2_checkpoint), "--served-model-name", "smol"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--api-key", KEY]
    command += ["--max-model-len", "1024", "--enforce-eager"]
    environ = os.environ | {
        "VLLM_CPU_OMP_THREADS_BIND": "0-1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    log = folder / "vllm.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, env=environ, stdout=said, stderr=said, start_new_session=True
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while not healthy(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def healthy(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def front(vllm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The seed's command, with vLLM as its API."""
    home: Path = tmp_path_factory.mktemp("front") / "home"
    with RunningServer(
        home,
        LLM_STRATEGY="hybrid",
        OPENROUTER_API_KEY=KEY,
        NOIBO_ROUTING_API_ENDPOINT=f"{vllm}/v1",
        NOIBO_ROUTING_API_MODEL="smol",
        NOIBO_ROUTING_API_MAX_TOKENS="24",
        NOIBO_DEFAULT_MODEL="echo",
    ) as server:
        yield server


def test_what_is_hard_is_asked_there_and_what_is_easy_is_not(
    front: RunningServer, vllm: str
) -> None:
    hard = httpx2.post(f"{front.url}{CHAT}", json=chat("auto", HARD), timeout=300)
    assert (hard.status_code, route(hard)["model"]) == (200, "smol"), hard.text
    assert hard.json()["usage"]["completion_tokens"] == 24
    assert hard.headers["x-noibo-receipt"].startswith(f"left this machine; to={vllm}; ")
    easy = httpx2.post(f"{front.url}{CHAT}", json=chat("auto", EASY), timeout=300)
    assert route(easy)["model"] == "echo"
    assert easy.headers["x-noibo-receipt"].startswith("stayed on this machine; label=internal; ")


def test_a_stream_counts_and_says_what_left(front: RunningServer, vllm: str) -> None:
    said = [{"role": "user", "content": f"{HARD} Write it to {EMAIL}."}]
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="auto", messages=said, stream=True, stream_options={"include_usage": True}
        )
        events = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in events if one.choices)
    assert events[-1].usage.completion_tokens == 24
    row = list(departures(front.home / "egress.jsonl"))[-1]
    assert (row.destination, row.outcome, row.label) == (vllm, "ok", "personal")


def test_a_wrong_key_is_no_answer_and_the_local_model_gives_one(vllm: str, tmp_path: Path) -> None:
    with RunningServer(
        tmp_path / "home",
        LLM_STRATEGY="hybrid",
        OPENROUTER_API_KEY="sk-wrong",
        NOIBO_ROUTING_API_ENDPOINT=f"{vllm}/v1",
        NOIBO_ROUTING_API_MODEL="smol",
        NOIBO_DEFAULT_MODEL="echo",
    ) as server:
        answer = httpx2.post(f"{server.url}{CHAT}", json=chat("auto", HARD), timeout=300)
    assert (answer.status_code, route(answer)["model"]) == (200, "echo")
    assert "tried=smol:failed" in answer.headers["x-noibo-route"]
