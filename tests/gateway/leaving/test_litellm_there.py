"""LiteLLM's own proxy as what is asked elsewhere, with a second noibo behind it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from benchmarks.contenders import free_port, litellm_python

from noibo.egress_ledger import departures
from tests.gateway.leaving.test_routed import CHAT, HARD, chat, route
from tests.running import RunningServer, clean_environment, run_noibo

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
EMAIL = "lan.nguyen@congty-abc.vn"
MASTER = "sk-litellm-master"
PATIENCE_S = 120
CONFIG = """
model_list:
  - model_name: there
    litellm_params: {{model: openai/echo, api_base: "{url}/v1", api_key: none}}
  - model_name: seldom
    litellm_params: {{model: openai/echo, api_base: "{url}/v1", api_key: none, rpm: 1}}
  - model_name: broken
    litellm_params: {{model: openai/echo, api_base: "http://127.0.0.1:9/v1", api_key: none}}
router_settings: {{enable_pre_call_checks: true, num_retries: 0}}
litellm_settings: {{num_retries: 0}}
general_settings: {{master_key: {key}}}
"""
TABLES = """
[models.{name}]
engine = "remote"
base_url = "{url}/v1"
hands_on = true
api_key = "{key}"
retries = 0

[virtual.by-{name}]
candidates = ["echo", "{name}"]
strategy = "hybrid"
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("litellm")
    port = free_port()
    with RunningServer(folder / "behind") as behind:
        config = folder / "litellm.yaml"
        config.write_text(CONFIG.format(url=behind.url, key=MASTER))
        environ = clean_environment(folder / "home") | {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list
            "NO_DOCS": "True",
        }
        entry = "from litellm import run_server; run_server()"
        command = [str(litellm_python()), "-c", entry, "--config", str(config), "--port", str(port)]
        command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
        log = folder / "litellm.log"
        with log.open("ab") as said:
            process = subprocess.Popen(command, env=environ, stdout=said, stderr=said)
        try:
            wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx2.get(f"{url}/health/liveliness", timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.2)


@pytest.fixture(scope="module")
def front(proxy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("front") / "home"
    home.mkdir()
    names = ("there", "seldom", "broken")
    tables = "".join(TABLES.format(name=name, url=proxy, key=MASTER) for name in names)
    locked = TABLES.format(name="locked", url=proxy, key="sk-another-key")
    (home / "noibo.toml").write_text(tables + locked)
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo") as server:
        yield server


def last(server: RunningServer) -> tuple[str, str]:
    row = list(departures(server.home / "egress.jsonl"))[-1]
    return row.destination, row.outcome


def test_what_is_personal_goes_as_placeholders_and_comes_back(
    front: RunningServer, proxy: str
) -> None:
    said = [{"role": "user", "content": f"Write to {EMAIL}, please."}]
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="there", messages=said)
        assert EMAIL in (raw.parse().choices[0].message.content or "")
        stream = client.chat.completions.create(model="there", messages=said, stream=True)
        assert EMAIL in "".join(one.choices[0].delta.content or "" for one in stream if one.choices)
    receipt = raw.headers["x-noibo-receipt"]
    assert receipt.startswith(f"left this machine; to={proxy}; ") and "EMAIL:1" in receipt
    assert last(front) == (proxy, "ok")


def test_a_hard_question_is_asked_there_with_its_counts_kept(front: RunningServer) -> None:
    answer = httpx2.post(f"{front.url}{CHAT}", json=chat("by-there", HARD), timeout=120)
    assert (route(answer)["model"], route(answer)["class"]) == ("there", "complex")
    counted = answer.json()["usage"]["completion_tokens"]
    assert counted > 10
    written = run_noibo("usage", "--by", "model", "--json", home=front.home)
    assert '"there"' in written.stdout, written.stdout + written.stderr


@pytest.mark.parametrize("name", ["broken", "locked"])
def test_where_it_fails_the_local_model_answers(front: RunningServer, name: str) -> None:
    answer = httpx2.post(f"{front.url}{CHAT}", json=chat(f"by-{name}", HARD), timeout=120)
    assert answer.status_code == 200
    assert route(answer)["model"] == "echo"
    assert f"tried={name}:" in answer.headers["x-noibo-route"]
    alone = httpx2.post(f"{front.url}{CHAT}", json=chat(name, HARD), timeout=120)
    assert alone.status_code >= 400
    assert MASTER not in alone.text and "sk-another-key" not in alone.text


def test_its_rate_limit_is_said_or_gone_round(front: RunningServer) -> None:
    for _ in range(3):
        alone = httpx2.post(f"{front.url}{CHAT}", json=chat("seldom", HARD), timeout=120)
    assert alone.status_code == 429, alone.text
    answer = httpx2.post(f"{front.url}{CHAT}", json=chat("by-seldom", HARD), timeout=120)
    assert (answer.status_code, route(answer)["model"]) == (200, "echo")
