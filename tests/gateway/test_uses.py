"""Uses and models of Ollama through a whole server, over every API."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from array import array
from collections.abc import Coroutine, Iterator
from typing import Any

import httpx2
import ollama
import openai
import pytest

from noibo.engines.remote.breaker import FAILURES
from noibo.wire.management import MODEL_HEADER
from tests.engines.elsewhere import Asked, Peer, peer, whole
from tests.engines.test_ollama import Replay, generations
from tests.running import RunningServer, run_noibo, until

pytestmark = pytest.mark.heavy
HELLO = [{"role": "user", "content": "Say hello."}]


class Scripted:
    """The transcript that is replayed next, and what was asked."""

    def __init__(self) -> None:
        self.answer = Replay("chat_stream.jsonl")
        self.there: Peer | None = None

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path == "/api/tags":
            writer.write(whole(200, {"models": [{"name": "near:latest"}]}))
        else:
            await self.answer(asked, writer)


class Loading(Replay):
    """An Ollama that is asked for nothing but to load a model, or to unload it."""

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(200, {"model": "near", "response": "", "done": True}))


class Loop:
    """An event loop in a thread, on which the replayed Ollama lives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def script() -> Iterator[Scripted]:
    loop, scripted = Loop(), Scripted()
    way = peer(scripted)
    scripted.there = loop.run(way.__aenter__())
    yield scripted
    loop.run(way.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def server(script: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("uses") / "home"
    home.mkdir()
    assert script.there is not None
    (home / "noibo.toml").write_text(f"""
default_model = "echo"
[models.near]
engine = "ollama"
base_url = "{script.there.url}"
[models.gone]
engine = "remote"
base_url = "http://127.0.0.1:9/v1"
retries = 0
[uses.chat]
model = "echo"
[uses.code]
model = "near"
[uses.vision]
model = "echo"
engine = "vllm"
""")
    with RunningServer(home) as running:
        yield running


@pytest.fixture
def replayed(script: Scripted) -> Iterator[Scripted]:
    assert script.there is not None
    script.there.asked.clear()
    yield script


def asked_of(script: Scripted) -> dict[str, Any]:
    assert script.there is not None
    return generations(script.there)[-1]


def sdk(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


# ── uses ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 2}),
        ("/v1/responses", {"input": "Hi", "store": False}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 2}),
        ("/api/chat", {"messages": HELLO, "stream": False}),
        ("/api/generate", {"prompt": "Hi", "stream": False}),
    ],
)
def test_a_use_is_answered_by_its_model(
    server: RunningServer, path: str, body: dict[str, Any]
) -> None:
    answer = httpx2.post(server.url + path, json={"model": "use:chat", **body}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers[MODEL_HEADER] == "echo"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/responses", {"input": "Hi", "store": False}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 2}),
        ("/v1/messages/count_tokens", {"messages": HELLO}),
        ("/api/chat", {"messages": HELLO, "stream": False}),
    ],
)
def test_a_use_is_run_by_the_engine_that_is_set_for_it(
    server: RunningServer, path: str, body: dict[str, Any]
) -> None:
    answer = httpx2.post(server.url + path, json={"model": "use:vision", **body}, timeout=60)
    assert answer.status_code == 501, answer.text  # and not the model's own engine
    assert "vllm" in answer.text.lower()


def test_uses_are_listed_and_shown_and_unknown_ones_refused(server: RunningServer) -> None:
    with sdk(server) as client:
        names = {model.id for model in client.models.list()}
        assert {"use:chat", "use:code", "near"} <= names
        assert client.models.retrieve("use:code").id == "use:code"
        with pytest.raises(openai.NotFoundError, match="no use 'poems'"):
            client.chat.completions.create(model="use:poems", messages=HELLO)  # type: ignore[arg-type]
    tags = {row["name"] for row in httpx2.get(f"{server.url}/api/tags").json()["models"]}
    assert {"near", "use:code"} <= tags
    shown = httpx2.post(f"{server.url}/api/show", json={"model": "use:code"})
    assert shown.status_code == 200


def test_a_request_without_a_model_is_still_the_defaults(server: RunningServer) -> None:
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": HELLO})
    assert answer.headers[MODEL_HEADER] == "echo"


# ── Ollama, over every API ──────────────────────────────────────────────────


def test_openais_clients_get_its_stream(server: RunningServer, replayed: Scripted) -> None:
    replayed.answer = Replay("chat_thinking_tools.jsonl", cut=11)
    with sdk(server) as client:
        chunks = list(
            client.chat.completions.create(
                model="use:code",
                messages=HELLO,  # type: ignore[arg-type]
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    calls = [c for one in chunks for choice in one.choices for c in choice.delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.function] == ["get_weather"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 90
    assert asked_of(replayed)["model"] == "near"


def test_ollamas_clients_get_its_answer_as_from_itself(
    server: RunningServer, replayed: Scripted
) -> None:
    replayed.answer = Replay("chat_thinking_tools.jsonl")
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    with ollama.Client(host=server.url) as client:
        answer = client.chat("near", messages=HELLO, tools=[tool], think=True, keep_alive="10m")
    assert answer.message.thinking == "The"
    assert answer.message.content == "The current"
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.arguments == {"city": "Paris"}
    assert (answer.prompt_eval_count, answer.eval_count) == (90, 52)
    body = asked_of(replayed)
    assert (body["think"], body["keep_alive"]) == (True, 600)
    assert body["tools"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize(("path", "more"), [("/api/generate", {}), ("/api/chat", {"messages": []})])
def test_ollamas_clients_load_and_unload_its_models(
    server: RunningServer, replayed: Scripted, path: str, more: dict[str, Any]
) -> None:
    replayed.answer = Loading("chat_whole.json")
    for kept, seconds, reason in (("5m", 300, "load"), (0, 0, "unload")):
        body = {"model": "near", "keep_alive": kept, "stream": False} | more
        answer = httpx2.post(server.url + path, json=body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["done"], answer.json()["done_reason"]) == (True, reason)
        there = asked_of(replayed)
        assert (there["model"], there["keep_alive"]) == ("near", seconds)
        assert not {"prompt", "messages"} & there.keys()
    with server.client() as client:
        until(lambda: "near" not in [one.model for one in client.workers()], "noibo lets it go")


def test_a_model_of_another_server_is_loaded_by_that(server: RunningServer) -> None:
    for kept, reason in (("5m", "load"), (0, "unload")):  # nobody is there, and nobody is asked
        body = {"model": "gone", "keep_alive": kept}
        answer = httpx2.post(f"{server.url}/api/generate", json=body)
        assert (answer.status_code, answer.json()["done_reason"]) == (200, reason)


def test_anthropics_clients_get_it(server: RunningServer, replayed: Scripted) -> None:
    replayed.answer = Replay("chat_stream.jsonl")
    body = {"model": "near", "messages": HELLO, "max_tokens": 300}
    answer = httpx2.post(f"{server.url}/v1/messages", json=body).json()
    assert answer["content"][0]["text"] == "The"
    assert answer["usage"]["output_tokens"] == 282


def test_its_vectors_come_over_both_apis(server: RunningServer, replayed: Scripted) -> None:
    replayed.answer = Replay("embed.json")
    body = {"model": "near", "input": ["a", "b"], "encoding_format": "base64"}
    openais = httpx2.post(f"{server.url}/v1/embeddings", json=body)
    assert openais.status_code == 200, openais.text
    row = array("f", base64.b64decode(openais.json()["data"][1]["embedding"]))
    assert row[1] == pytest.approx(0.06042469)
    theirs = httpx2.post(f"{server.url}/api/embed", json={"model": "near", "input": ["a", "b"]})
    assert theirs.status_code == 200, theirs.text
    assert len(theirs.json()["embeddings"]) == 2


def test_what_it_cannot_do_is_refused_over_http(server: RunningServer, replayed: Scripted) -> None:
    ranked = httpx2.post(f"{server.url}/v1/rerank", json={"model": "near", "query": "a",
                                                          "documents": ["b"]})  # fmt: skip
    assert (ranked.status_code, ranked.json()["error"]["code"]) == (501, "not_supported")
    several = httpx2.post(
        f"{server.url}/v1/chat/completions", json={"model": "near", "messages": HELLO, "n": 2}
    )
    assert (several.status_code, several.json()["error"]["param"]) == (400, "n")


def test_an_error_in_the_middle_of_its_stream_reaches_the_caller(
    server: RunningServer, replayed: Scripted
) -> None:
    replayed.answer = Replay("generate_error.jsonl")
    asked = {"model": "near", "prompt": "Hi", "stream": True}
    plain = httpx2.post(f"{server.url}/v1/completions", json=asked).text
    last = [line for line in plain.splitlines() if line.startswith("data: ")][-1]
    assert (
        "encountered while running" in json.loads(last.removeprefix("data: "))["error"]["message"]
    )


def test_a_prompt_over_its_window_is_refused_with_openais_code(
    server: RunningServer, replayed: Scripted
) -> None:
    replayed.answer = Replay("too_long_0.40.json", 400)
    answer = httpx2.post(
        f"{server.url}/v1/chat/completions", json={"model": "near", "messages": HELLO}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"


# ── what is seen of it ──────────────────────────────────────────────────────


def test_the_state_of_a_breaker_is_seen_everywhere(server: RunningServer) -> None:
    body = {"model": "gone", "messages": HELLO}
    for _ in range(FAILURES):
        assert httpx2.post(f"{server.url}/v1/chat/completions", json=body).status_code == 502
    alone = httpx2.post(f"{server.url}/v1/chat/completions", json=body)
    assert "left alone" in alone.json()["error"]["message"]
    assert int(alone.headers["retry-after"]) >= 1
    with server.client() as client:
        (row,) = [one for one in client.workers() if one.model == "gone"]
        assert row.placement["breaker"] in {"open", "half-open"}
        (place,) = [one for one in client.engines().places if one.engine == "remote"]
    assert (place.answers, place.breaker) == (False, row.placement["breaker"])
    metrics = httpx2.get(f"{server.url}/metrics").text
    told = re.findall(r'noibo_upstreams\{breaker="(.+)"\} 1.0', metrics)
    assert set(told) & {"open", "half-open"}
    shown = run_noibo("ps", home=server.home).stdout
    asked = [line for line in shown.splitlines() if "breaker" in line]
    assert all(line.strip().startswith("asked at http://") for line in asked)
    assert asked


def test_engines_are_listed_with_and_without_a_server(server: RunningServer) -> None:
    listed = json.loads(run_noibo("engines", "list", "--json", home=server.home).stdout)
    names = [row["name"] for row in listed["engines"]]
    assert {"llama_cpp", "llama_server", "ollama", "remote", "echo"} <= set(names)
    (near,) = [row for row in listed["places"] if row["models"] == ["near"]]
    assert (near["answers"], near["breaker"]) == (True, "closed")
    assert {row["use"]: row["model"] for row in listed["uses"]} == {
        "chat": "echo",
        "code": "near",
        "vision": "echo",
    }
    alone = server.home.parent / "alone"
    alone.mkdir()
    (alone / "noibo.toml").write_text((server.home / "noibo.toml").read_text())
    said = run_noibo("engines", "list", home=alone)
    assert said.returncode == 0, said.stderr
    assert "nobody is there" in said.stdout
    assert "use:code" in said.stdout
    assert "install llama.cpp" in said.stdout.replace("\n  ", " ").lower()
