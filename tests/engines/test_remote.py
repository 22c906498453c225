"""Models of another server on this machine, through noibo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from noibo.engines.remote.keys import key_of, require_set
from noibo.errors import SettingsError
from noibo.settings import load
from tests.engines.recording import ANSWER, CHUNK, Handler, Recording, answers
from tests.running import RunningServer, run_noibo, until

pytestmark = pytest.mark.heavy  # a server of its own for each kind of test

HELLO = [{"role": "user", "content": "Say hello."}]
SECRET = "sk-of-the-other-server"


def declared(name: str, url: str, **keys: str) -> str:
    lines = {"engine": "remote", "base_url": url} | keys
    return "\n".join([f'[models."{name}"]', *(f'{k} = "{v}"' for k, v in lines.items()), ""])


def in_front_of(folder: Path, *tables: str) -> RunningServer:
    home = folder / "front" / "home"
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text("\n".join(tables))
    return RunningServer(home)


@pytest.fixture(scope="module")
def front(
    real_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """noibo in front of noibo with the real model."""
    table = declared("near", f"{real_server.url}/v1", model="smollm2:135m")
    with in_front_of(tmp_path_factory.mktemp("remote"), table) as server:
        yield server


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    with Recording() as server:
        yield server


@pytest.fixture(scope="module")
def behind(
    recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """noibo in front of a server that writes down what it is asked."""
    table = declared("near", recording.url, model="there", api_key=SECRET)
    with in_front_of(tmp_path_factory.mktemp("behind"), table) as server:
        yield server


@pytest.fixture
def asked(recording: Recording) -> Iterator[Recording]:
    """The same, as if nothing had been asked of it."""
    recording.asked.clear()
    recording.answer = answers
    yield recording
    recording.answer = answers


def sdk(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def post(
    server: RunningServer, path: str = "/v1/chat/completions", **body: object
) -> httpx2.Response:
    asked = {"model": "near", "messages": HELLO} | body
    return httpx2.post(server.url + path, json=asked, timeout=120)


# ── with a real model ───────────────────────────────────────────────────────


def test_its_answers_are_those_of_the_server_that_gives_them(
    front: RunningServer, real_server: RunningServer
) -> None:
    said = {"messages": HELLO, "max_tokens": 6, "temperature": 0}
    there = sdk(real_server).chat.completions.create(model="smollm2:135m", **said)
    with sdk(front) as here:
        assert [model.id for model in here.models.list()] == ["near"]
        whole = here.chat.completions.create(model="near", **said)
        stream = here.chat.completions.create(model="near", stream=True, **said)
        told = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert whole.choices[0].message.content == told == there.choices[0].message.content
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 6


def test_json_that_fits_a_schema_is_asked_for_there(front: RunningServer) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [7]}}, "required": ["n"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = post(front, response_format=form, max_tokens=20).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"n": 7}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/chat", {"stream": False, "options": {"num_predict": 4, "num_ctx": 65536}}),
        ("/api/generate", {"stream": False, "prompt": "Hi", "options": {"num_predict": 4}}),
        ("/v1/messages", {"max_tokens": 4}),
        ("/v1/responses", {"input": "Hi", "max_output_tokens": 16}),
    ],
)
def test_every_api_has_it(front: RunningServer, path: str, more: dict[str, object]) -> None:
    body = {"messages": HELLO} if "prompt" not in more and "input" not in more else {}
    answer = httpx2.post(front.url + path, json={"model": "near"} | body | more, timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "near"


def test_ollamas_clients_see_it(front: RunningServer) -> None:
    rows = httpx2.get(f"{front.url}/api/tags").json()["models"]
    shown = httpx2.post(f"{front.url}/api/show", json={"model": "near"}).json()
    assert [row["name"] for row in rows] == ["near"]
    assert shown["capabilities"] == ["completion"]


def test_leaving_frees_the_slot_there(front: RunningServer, real_server: RunningServer) -> None:
    def busy() -> int:
        with real_server.client() as client:
            return sum(row.slots_busy or 0 for row in client.workers())

    body = {"model": "near", "messages": HELLO, "max_tokens": 1500, "ignore_eos": True}
    for streamed in (True, False):
        with httpx2.Client(base_url=front.url, timeout=120) as client:
            request = client.build_request(
                "POST", "/v1/chat/completions", json=body | {"stream": streamed}
            )
            if streamed:
                answer = client.send(request, stream=True)
                lines = answer.iter_lines()  # held: else it is closed at once
                next(lines)
                until(lambda: busy() > 0, "it is being answered")
                answer.close()
            else:
                with pytest.raises(httpx2.TimeoutException):
                    client.post("/v1/chat/completions", json=body, timeout=1)
        until(lambda: busy() == 0, "the slot is free")


# ── what goes there, and what comes ─────────────────────────────────────────


def test_a_request_goes_on_as_it_came_but_for_the_name(
    behind: RunningServer, asked: Recording
) -> None:
    said = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_object"},
        "stream_options": None,
        "n": 3,
        "logprobs": True,
        "top_logprobs": 2,
        "its_own": {"deep": [1.50, None, "ü"]},
        "reasoning_effort": "high",
    }
    answer = post(behind, **said)
    path, headers, body = asked.asked[0]
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert (path, body) == ("/v1/chat/completions", {"model": "there", "messages": HELLO} | said)
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert answer.headers["x-noibo-model"] == "near"


def test_vectors_and_texts_are_asked_for_there(behind: RunningServer, asked: Recording) -> None:
    with sdk(behind) as client:
        client.completions.create(model="near", prompt=["a", "b"], echo=True, best_of=2)
    httpx2.post(f"{behind.url}/v1/embeddings", json={"model": "near", "input": "a"})
    assert [(path, body) for path, _, body in asked.asked] == [
        ("/v1/completions", {"model": "there", "prompt": ["a", "b"], "echo": True, "best_of": 2}),
        ("/v1/embeddings", {"model": "there", "input": "a"}),
    ]


def test_what_it_cannot_read_is_its_own_to_say(behind: RunningServer, asked: Recording) -> None:
    said = {"error": {"message": "temperature: no", "type": "bad", "param": "temperature"}}
    asked.answer = lambda handler: handler.say(400, json.dumps(said).encode())
    answer = post(behind, temperature="hot")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "temperature"


def test_its_word_to_try_later_reaches_the_caller(behind: RunningServer, asked: Recording) -> None:
    asked.answer = lambda handler: handler.say(429, b"{}", Retry_After="7")
    answer = post(behind)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert len(asked.asked) == 1


def test_one_that_is_overrun_is_asked_again(behind: RunningServer, asked: Recording) -> None:
    def third_time(handler: Handler) -> None:
        answers(handler) if len(asked.asked) == 3 else handler.say(503, b"{}")

    asked.answer = third_time
    assert post(behind).status_code == 200


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_key_that_it_refuses_is_noibos_and_not_the_callers(
    behind: RunningServer, asked: Recording, status: int
) -> None:
    asked.answer = lambda handler: handler.say(status, b'{"error": {"message": "who are you?"}}')
    answer = post(behind)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "upstream_failed")
    assert "noibo.toml" in error["message"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_a_key_that_it_says_again_is_told_no_caller(
    behind: RunningServer, asked: Recording, status: int
) -> None:
    said = json.dumps({"error": {"message": f"what is {SECRET}?"}}).encode()
    asked.answer = lambda handler: handler.say(status, said)
    assert SECRET not in post(behind).text


def test_it_is_not_followed_to_anywhere_else(behind: RunningServer, asked: Recording) -> None:
    asked.answer = lambda handler: handler.say(307, b"", Location="http://127.0.0.1:1/v1")
    answer = post(behind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")


def test_a_stream_that_breaks_off_ends_with_an_error(
    behind: RunningServer, asked: Recording
) -> None:
    def breaks_off(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        event = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
        handler.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        handler.close_connection = True

    asked.answer = breaks_off
    answer = post(behind, stream=True)
    events = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert json.loads(events[0].removeprefix("data: ")) == CHUNK
    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert (error["code"], "broke off" in error["message"]) == ("upstream_failed", True)


def test_what_openais_api_has_no_call_for_is_refused_with_words(
    behind: RunningServer, asked: Recording
) -> None:
    asked.answer = lambda handler: handler.say(404, b"{}")
    counted = post(behind, "/v1/messages/count_tokens")
    assert counted.status_code == 501
    assert "another server" in counted.json()["error"]["message"]


def test_its_key_is_told_nobody(behind: RunningServer, asked: Recording) -> None:
    post(behind)
    shown = run_noibo("config", "show", home=behind.home)
    workers = httpx2.get(f"{behind.url}/noibo/v1/workers").text
    assert '"(set)"' in shown.stdout
    tree = load(config=behind.home / "noibo.toml", environ={"NOIBO_HOME": str(behind.home)})
    assert tree.models["near"].api_key == SECRET
    for said in (shown.stdout, workers, behind.log.read_text(), repr(tree)):
        assert SECRET not in said


def test_one_that_does_not_run_is_said_and_is_found_again(tmp_path: Path) -> None:
    with Recording() as first:
        port = first.server_address[1]
    with in_front_of(tmp_path, declared("near", first.url)) as server:
        gone = post(server)
        assert (gone.status_code, gone.json()["error"]["code"]) == (502, "upstream_failed")
        assert first.url in gone.json()["error"]["message"]
        with RunningServer(tmp_path / "back" / "home", "--port", str(port)):
            back = post(server)
            assert back.status_code == 404  # it is there, and has no model of that name
            assert httpx2.get(f"{server.url}/health").status_code == 200


# ── the settings ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.example.com/v1", "for all to read"),
        ("http://127.0.0.1.example.com/v1", "for all to read"),
        ("https://0.0.0.0/v1", "no address of a server"),
        ("http://user:pass@127.0.0.1:8000/v1", "api_key"),
        ("ftp://127.0.0.1/v1", "not an http(s) address"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(home: Path, url: str, said: str) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(declared("far", url))
    ended = run_noibo("serve", "--port", "0", home=home)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "pass@" not in ended.stderr


def test_a_key_may_be_in_the_environment(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(declared("near", "http://[::1]:1/v1", api_key="env:THERE"))
    environ = {"NOIBO_HOME": str(home)}
    assert load(environ=environ | {"THERE": SECRET}).models["near"].api_key == SECRET
    ended = run_noibo("serve", "--port", "0", home=home)
    assert (ended.returncode, "THERE, which is not set" in ended.stderr) == (2, True)


def test_where_the_variable_of_a_key_is_not_set_only_that_model_cannot_be_asked(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(declared("near", "http://[::1]:1/v1", api_key="env:THERE"))
    models = load(environ={"NOIBO_HOME": str(home)}).models
    for wants in (lambda: key_of(models["near"].api_key), lambda: require_set(models)):
        with pytest.raises(SettingsError, match="THERE, which is not set"):
            wants()
    assert run_noibo("list", home=home).returncode == 0
    listed = run_noibo("engines", "list", home=home)
    assert listed.returncode == 0
    assert "THERE" in listed.stdout


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[models.a]\nbase_url = "http://127.0.0.1:1"', "only a model elsewhere has"),
        ('[models.a]\nengine = "remote"', "nothing says where"),
        ('[models.a]\nengine = "remote"\napi_key = 5', "no good"),
    ],
)
def test_a_table_is_whole(home: Path, table: str, said: str) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(table)
    with pytest.raises(SettingsError, match=said):
        load(environ={"NOIBO_HOME": str(home)})
