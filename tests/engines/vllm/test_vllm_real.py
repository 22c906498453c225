"""Every verb of a real vLLM on this processor, through a server of noibo's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from noibo.modelstore.store import Store
from tests.running import RunningServer

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
TOML = '[models."smol:latest"]\nengine = "vllm"\nctx_size = 1024\nparallel = 4\n'
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def server(
    vllm_environment: Path,
    smollm2_checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("vllm") / "home"
    (home / "engines").mkdir(parents=True)
    (home / "engines" / "vllm").symlink_to(vllm_environment)
    (home / "noibo.toml").write_text(TOML)
    Store(home / "models").add(smollm2_checkpoint, "smol")
    with RunningServer(home, NOIBO_ENGINE_START_STALL_S="300") as running:
        running.load("smol")
        yield running


def ask(server: RunningServer, path: str, **body: Any) -> Any:
    url = f"{server.url}{path}"
    answer = httpx2.post(url, json={"model": "smol", **body}, timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_answers_right(server: RunningServer) -> None:
    said = ask(
        server, "/v1/completions", prompt="The capital of France is", max_tokens=1, temperature=0
    )
    assert said["choices"][0]["text"] == " Paris"
    said = ask(server, "/v1/chat/completions", messages=QUESTION, max_tokens=8, temperature=0)
    assert said["usage"]["prompt_tokens"] == 37
    assert said["usage"]["completion_tokens"] == 8


def test_it_scores_a_given_text(server: RunningServer) -> None:
    said = ask(
        server,
        "/v1/completions",
        prompt="The capital of France is",
        max_tokens=0,
        echo=True,
        logprobs=1,
    )
    found = said["choices"][0]["logprobs"]
    assert found["tokens"] == ["The", " capital", " of", " France", " is"]
    assert found["token_logprobs"][0] is None
    assert -1 < found["token_logprobs"][2] < 0  # " of": nearly certain


def test_it_tokenises_and_counts_as_it_reads(server: RunningServer) -> None:
    tokens = ask(server, "/tokenize", content="Xin chào các bạn")["tokens"]
    assert ask(server, "/detokenize", tokens=tokens)["content"] == "Xin chào các bạn"
    count = ask(server, "/v1/chat/completions/input_tokens", messages=QUESTION)
    assert count == {"input_tokens": 37}


def test_it_keeps_to_a_form(server: RunningServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    said = ask(
        server,
        "/v1/chat/completions",
        messages=[{"role": "user", "content": "How many legs has a dog? Say it as JSON."}],
        response_format=form,
        max_tokens=30,
        temperature=0,
    )
    assert '"n"' in said["choices"][0]["message"]["content"]


def test_every_api_has_it_and_its_counts(server: RunningServer) -> None:
    more: dict[str, Any] = {"messages": QUESTION, "max_tokens": 8, "temperature": 0}
    plain = ask(server, "/v1/messages", **more)["content"][0]["text"]
    more["stop_sequences"] = [plain.split()[2]]
    whole = ask(server, "/v1/messages", **more)
    told = (whole["stop_reason"], [whole["stop_sequence"]])
    assert told == ("stop_sequence", more["stop_sequences"]), plain
    asked = {"model": "smol", "stream": True, **more}
    streamed = httpx2.post(f"{server.url}/v1/messages", json=asked, timeout=300).text
    assert '"stop_reason":"stop_sequence"' in streamed
    assert f'"output_tokens":{whole["usage"]["output_tokens"]}' in streamed
    options = {"num_predict": 4, "temperature": 0}
    chat = ask(server, "/api/chat", messages=QUESTION, stream=False, options=options)
    assert (chat["prompt_eval_count"], chat["eval_count"]) == (37, 4)


def test_who_leaves_frees_its_place(server: RunningServer) -> None:
    body = {"model": "smol", "messages": QUESTION, "stream": True, "max_tokens": 900}
    url = f"{server.url}/v1/chat/completions"
    with httpx2.stream("POST", url, json={**body, "ignore_eos": True}, timeout=60) as answer:
        next(answer.iter_raw())
    worker = psutil.Process(ask_workers(server)[0]["pid"])
    deadline = time.monotonic() + 10  # its 900 tokens would take longer
    while worker_is_busy(worker):
        assert time.monotonic() < deadline


def test_nothing_is_told_without_the_key(server: RunningServer) -> None:
    worker = psutil.Process(ask_workers(server)[0]["pid"])
    words = next(one.cmdline() for one in worker.children() if "--port" in one.cmdline())
    url = f"http://127.0.0.1:{words[words.index('--port') + 1]}"
    assert httpx2.get(f"{url}/health", timeout=60).status_code == 200
    for path in ("/tokenize", "/invocations", "/v1/models", "/metrics", "/version"):
        assert httpx2.get(url + path, timeout=60).status_code == 401, path


def test_what_it_cannot_do_is_refused(server: RunningServer) -> None:
    asked = {"model": "smol", "prompt": "a", "mirostat": 2}
    answer = httpx2.post(f"{server.url}/v1/completions", json=asked, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "mirostat")


def ask_workers(server: RunningServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx2.get(f"{server.url}/noibo/v1/workers", timeout=60).json()
    return found


def worker_is_busy(worker: psutil.Process) -> bool:
    """Whether its processes computed for a good part of half a second."""
    family = [worker, *worker.children(recursive=True)]
    before = sum(sum(one.cpu_times()[:2]) for one in family)
    time.sleep(0.5)
    return sum(sum(one.cpu_times()[:2]) for one in family) - before > 0.2
