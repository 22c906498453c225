"""The context contract over HTTP, by every API's own client: with the real model in a window of 512
tokens, and what fills a window with a small one, whose tokens are bytes, in 256."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest

from tests.running import RunningServer

pytestmark = pytest.mark.heavy  # a server of its own for each kind of test

MODEL = "smollm2:135m"
WINDOW, SMALL = 512, 256
SYSTEM = {"role": "system", "content": "You are brief."}
LAST = {"role": "user", "content": "Say yes."}
# Of one token for each word.
OLD = [
    {"role": "user", "content": "My name is Lan. " + "one " * 240},
    {"role": "assistant", "content": "two " * 240},
]
LONG = [SYSTEM, *OLD, *OLD, LAST]  # of which no old turn fits
KEPT = [SYSTEM, LAST]
DROP = {"X-Noibo-Context": "drop_oldest"}
SUMMARISE = {"X-Noibo-Context": "summarise"}
CUT = "X-Noibo-Cut"


@pytest.fixture(scope="module")
def narrow(model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("narrow") / "home"
    size = {"NOIBO_ENGINE_CTX_SIZE": str(WINDOW), "NOIBO_ENGINE_PARALLEL": "2"}
    size["NOIBO_ENGINE_THREADS"] = "1"
    with RunningServer(home, NOIBO_STORE_PATH=str(model_store), **size) as server:
        server.load(MODEL)
        yield server


@pytest.fixture
def http(narrow: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=narrow.url, timeout=120) as made:
        yield made


@pytest.fixture
def client(narrow: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=narrow.url + "/v1", api_key="x", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(narrow: RunningServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=narrow.url, api_key="x", max_retries=0) as made:
        yield made


def chat(client: openai.OpenAI, messages: Any = LONG, **more: Any) -> Any:
    asked = {"model": MODEL, "max_tokens": 3, "temperature": 0} | more
    return client.chat.completions.create(messages=messages, **asked)


def facts(header: str) -> dict[str, str]:
    return dict(part.split("=") for part in header.split("; "))


def cut_of(found: Any) -> dict[str, Any]:
    """What an SDK's object holds besides its own fields."""
    told: dict[str, Any] = found.model_extra["noibo"]["cut"]
    return told


# ── refused ─────────────────────────────────────────────────────────────────


def tokens_of(http: httpx.Client | httpx2.Client, messages: Any, model: str = MODEL) -> int:
    body = {"model": model, "messages": messages}
    answer = http.post("/v1/chat/completions/input_tokens", json=body)
    return int(answer.json()["input_tokens"])


@pytest.mark.parametrize("stream", [True, False])
def test_a_chat_over_the_window_is_refused_with_both_counts(
    client: openai.OpenAI, http: httpx.Client, stream: bool
) -> None:
    tokens = tokens_of(http, LONG)
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, stream=stream)
    error = caught.value
    assert (error.code, error.param) == ("context_length_exceeded", "messages")
    assert f"maximum context length is {WINDOW} tokens" in str(error)
    assert f"{tokens} in the messages, 3 in the completion" in str(error)
    assert "8192" in str(error)  # what the model could have
    with pytest.raises(openai.BadRequestError, match=f"messages resulted in {tokens} tokens"):
        chat(client, stream=stream, max_tokens=openai.omit)


@pytest.fixture
def filler(small_server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=small_server.url + "/v1", api_key="x", max_retries=0) as made:
        yield made


def test_a_limit_counts_too_and_the_largest_that_fits_is_said_and_fits(
    filler: openai.OpenAI, small: httpx2.Client
) -> None:
    nearly = [{"role": "user", "content": "w" * 160}]
    room = SMALL - tokens_of(small, nearly, "fills")
    assert 16 < room < 64
    for name in ("max_tokens", "max_completion_tokens"):
        with pytest.raises(openai.BadRequestError) as caught:
            chat(filler, nearly, model="fills", **{"max_tokens": openai.omit, name: room + 1})
        assert f"{name} can be {room} at most" in str(caught.value)
    asked = {"model": "fills", "extra_body": {"ignore_eos": True}}
    whole = chat(filler, nearly, max_tokens=room, **asked)
    assert whole.usage.completion_tokens == room
    assert "noibo" not in whole.model_extra
    unlimited = chat(filler, nearly, max_tokens=openai.omit, **asked)
    assert unlimited.choices[0].finish_reason == "length"
    assert unlimited.usage.total_tokens == SMALL


def test_every_api_refuses_in_its_own_words(
    http: httpx.Client, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    said = [one for one in LONG if one["role"] != "system"]
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 512"):
        claude.messages.create(model=MODEL, max_tokens=5, messages=said)  # type: ignore[arg-type]
    with pytest.raises(anthropic.BadRequestError, match=r"exceed context limit: \d+ \+ 4096 > 512"):
        claude.messages.create(model=MODEL, max_tokens=4096, messages=[LAST])  # type: ignore[list-item]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=LONG, max_output_tokens=16)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    assert "16 in the completion" in str(caught.value)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="Hi", max_output_tokens=4096)
    assert "max_output_tokens can be" in str(caught.value)
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=MODEL, prompt="word " * 600)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")
    native = http.post("/completion", json={"prompt": "word " * 600}).json()["error"]
    assert (native["type"], native["n_ctx"]) == ("exceed_context_size_error", WINDOW)
    assert native["n_prompt_tokens"] >= 600
    body = {"model": MODEL, "messages": LONG, "truncate": False}
    refused = http.post("/api/chat", json=body)
    assert refused.status_code == 400
    assert "maximum context length is 512 tokens" in refused.json()["error"]


def test_what_may_not_be_dropped_and_does_not_fit_is_refused(
    client: openai.OpenAI, http: httpx.Client
) -> None:
    last = {"role": "user", "content": "word " * 600}
    for how in (DROP, SUMMARISE):
        with pytest.raises(openai.BadRequestError, match="may not be dropped has 6") as caught:
            chat(client, [SYSTEM, *OLD, last], extra_headers=how)
        assert caught.value.code == "context_length_exceeded"
    assert http.post("/v1/chat/completions", json={}, headers={"X-Noibo-Context": "x"}).is_error


# ── the oldest is dropped ───────────────────────────────────────────────────


def test_the_oldest_turns_go_and_it_is_said(client: openai.OpenAI, http: httpx.Client) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=LONG,
        max_tokens=3,
        temperature=0,
        extra_headers=DROP,  # type: ignore[arg-type]
    )
    whole, before = raw.parse(), tokens_of(http, LONG)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == tokens_of(http, KEPT)
    told = {"policy": "drop_oldest", "messages": 4, "window": WINDOW}
    assert cut_of(whole) == told | {"tokens": before - whole.usage.prompt_tokens}
    assert facts(raw.headers[CUT]) == {name: str(one) for name, one in cut_of(whole).items()}
    assert whole.choices[0].message.content == chat(client, KEPT).choices[0].message.content


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("n", [1, 2])
def test_the_end_of_a_stream_says_it(client: openai.OpenAI, usage: bool, n: int) -> None:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    with chat(client, stream=True, extra_headers=DROP, n=n, **options) as stream:
        events = list(stream)
        assert facts(stream.response.headers[CUT])["messages"] == "4"
    ends = [e for e in events if "noibo" in (e.model_extra or {})]
    assert ends[-1] is events[-1]
    assert cut_of(events[-1])["messages"] == 4
    assert all(e.choices[0].finish_reason for e in ends if e.choices)
    with chat(client, [LAST], stream=True, extra_headers=DROP) as stream:
        assert CUT not in stream.response.headers
        assert not any("noibo" in (e.model_extra or {}) for e in stream)


def test_a_call_never_loses_its_result(client: openai.OpenAI, http: httpx.Client) -> None:
    function = {"name": "f", "arguments": "{}"}
    called = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    result = {"role": "tool", "tool_call_id": "c1", "content": "three " * 20}
    found = chat(client, [*OLD, LAST, called, result], extra_headers=DROP)
    assert cut_of(found)["messages"] == 2
    assert found.usage.prompt_tokens == tokens_of(http, [LAST, called, result])
    gone = chat(client, [OLD[0], called, result, LAST, OLD[1], LAST], extra_headers=DROP)
    assert cut_of(gone)["messages"] == 3


def test_a_limit_that_is_larger_than_the_window_is_cut_and_not_the_chat(
    client: openai.OpenAI, http: httpx.Client
) -> None:
    room = WINDOW - tokens_of(http, KEPT)
    found = chat(client, KEPT, max_tokens=4096, extra_headers=DROP)
    assert cut_of(found) == {"policy": "drop_oldest", "limit": room, "window": WINDOW}


def test_responses_say_it(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "max_output_tokens": 16, "store": False}
    raw = client.responses.with_raw_response.create(input=LONG, truncation="auto", **asked)
    whole = raw.parse()
    assert facts(raw.headers[CUT])["messages"] == "4"
    assert cut_of(whole)["messages"] == 4
    assert whole.truncation == "auto"
    assert whole.usage is not None
    assert whole.usage.input_tokens < WINDOW
    with client.responses.create(input=LONG, stream=True, extra_headers=DROP, **asked) as stream:
        *_, last = stream
    assert cut_of(last.response)["policy"] == "drop_oldest"  # type: ignore[union-attr]
    with pytest.raises(openai.BadRequestError):
        client.responses.create(input=LONG, truncation="disabled", **asked)


def test_anthropics_messages_say_it(claude: anthropic.Anthropic) -> None:
    said = [one for one in LONG if one["role"] != "system"]
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 5, "messages": said, "system": "Brief."}
    raw = claude.messages.with_raw_response.create(**asked, extra_headers=DROP)
    assert facts(raw.headers[CUT])["messages"] == "4"
    assert cut_of(raw.parse())["messages"] == 4
    with claude.messages.create(**asked, stream=True, extra_headers=DROP) as stream:
        (last,) = (event for event in stream if event.type == "message_delta")
    assert cut_of(last)["messages"] == 4
    with claude.messages.stream(**asked, extra_headers=DROP) as helped:
        assert helped.get_final_message().stop_reason


def test_ollamas_clients_lose_the_oldest_and_are_told(
    http: httpx.Client, narrow: RunningServer
) -> None:
    body = {"model": MODEL, "messages": LONG, "options": {"num_predict": 3}}
    streamed = http.post("/api/chat", json=body)
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    assert facts(streamed.headers[CUT])["messages"] == "4"
    assert [("noibo" in line) for line in lines] == [False] * (len(lines) - 1) + [True]
    whole = http.post("/api/chat", json=body | {"stream": False})
    assert whole.json()["noibo"]["cut"]["policy"] == "drop_oldest"
    assert http.post("/api/chat", json=body, headers={"X-Noibo-Context": "refuse"}).is_error
    with ollama.Client(host=narrow.url) as client:
        assert client.chat(MODEL, LONG, options={"num_predict": 3}).done


def test_of_a_text_the_first_tokens_go(filler: openai.OpenAI, small: httpx2.Client) -> None:
    prompt = "chào 🦜 " * 60
    tokens = len(small.post("/tokenize", json={"content": prompt}).json()["tokens"])
    asked: dict[str, Any] = {"model": "fills", "prompt": prompt, "max_tokens": 4, "temperature": 0}
    with pytest.raises(openai.BadRequestError):
        filler.completions.create(**asked)
    found = filler.completions.create(**asked, extra_headers=DROP)
    assert found.usage is not None
    assert SMALL - 4 - 4 < found.usage.prompt_tokens <= SMALL - 4
    assert cut_of(found) == {
        "policy": "drop_oldest",
        "tokens": tokens + 1 - found.usage.prompt_tokens,  # and what begins every text
        "window": SMALL,
    }
    with filler.completions.create(**asked, stream=True, extra_headers=SUMMARISE) as stream:
        *_, last = stream
    assert cut_of(last)["instead_of"] == "summarise"
    native = {"prompt": prompt, "n_predict": 4, "stream": True}
    answer = small.post("/completion", json=native, headers=DROP)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert events[-1]["noibo"]["cut"]["tokens"] >= tokens - SMALL
    assert not any("noibo" in event for event in events[:-1])
    whole = small.post("/completion", json=native | {"stream": False}, headers=DROP).json()
    assert whole["noibo"]["cut"]["window"] == SMALL
    assert whole["tokens_evaluated"] == found.usage.prompt_tokens
    one_of_two = {"prompt": ["short", prompt], "max_tokens": 1}
    assert small.post("/v1/completions", json=one_of_two, headers=DROP).status_code == 400


def test_ollamas_raw_prompts_are_texts(small: httpx2.Client) -> None:
    prompt = {"model": "fills", "prompt": "word " * 80, "options": {"num_predict": 3}}
    assert small.post("/api/generate", json=prompt).status_code == 400  # all of it is the last turn
    raw = small.post("/api/generate", json=prompt | {"raw": True, "stream": False})
    assert raw.json()["prompt_eval_count"] == SMALL - 3
    assert facts(raw.headers[CUT])["tokens"] == str(raw.json()["noibo"]["cut"]["tokens"])
    strict = prompt | {"raw": True, "truncate": False}
    assert "in the prompt" in small.post("/api/generate", json=strict).json()["error"]


def test_what_stands_round_a_gap_is_shortened_and_that_is_said(small: httpx2.Client) -> None:
    body = {
        "input_prefix": "def f(x):\n" * 60,
        "input_suffix": "return y\n" * 60,
        "n_predict": 4,
    }
    found = small.post("/infill", json=body)
    assert found.status_code == 200, found.text
    assert facts(found.headers[CUT])["policy"] == "drop_oldest"
    assert found.json()["noibo"]["cut"]["tokens"] > 500
    assert found.json()["tokens_evaluated"] <= SMALL - 4
    refused = small.post("/infill", json=body, headers={"X-Noibo-Context": "refuse"})
    assert refused.status_code == 400
    assert refused.json()["error"]["n_ctx"] == SMALL
    suffix = {"prompt": body["input_prefix"], "suffix": "x", "max_tokens": 4}
    assert small.post("/v1/completions", json=suffix, headers=DROP).status_code == 400


# ── the oldest is summarised ────────────────────────────────────────────────


def test_a_summary_takes_the_place_of_what_went(client: openai.OpenAI) -> None:
    story = "Lan lives in Hue. She has two cats and wants to sell her blue boat in May. "
    old = {"role": "user", "content": story * 14}
    last = {"role": "user", "content": "blue " * 220 + "What is for sale?"}
    asked: dict[str, Any] = {"messages": [SYSTEM, old, last], "extra_headers": SUMMARISE}
    with chat(client, stream=True, max_tokens=8, **asked) as stream:
        events = list(stream)
        header = facts(stream.response.headers[CUT])
    told = cut_of(events[-1])
    assert (header["policy"], told["policy"]) == ("summarise", "summarise")
    assert told["messages"] == 1
    assert told["summary"].strip()
    assert 0 < told["summary_tokens"] < WINDOW // 4
    assert told["summary"] not in str(header)


@pytest.mark.heavy
def test_a_long_past_is_summarised_in_parts(client: openai.OpenAI) -> None:
    told = cut_of(chat(client, extra_headers=SUMMARISE))
    assert (told["policy"], told["messages"]) == ("summarise", 4)
    assert told["summary"].strip()


def test_what_cannot_be_summarised_is_dropped_and_that_is_said(client: openai.OpenAI) -> None:
    endless = {"role": "user", "content": "one " * 12_000}  # more than is read in parts
    found = chat(client, [endless, OLD[1], LAST], extra_headers=SUMMARISE)
    assert (cut_of(found)["policy"], cut_of(found)["instead_of"]) == ("drop_oldest", "summarise")


def test_the_settings_say_what_is_usual(
    model_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("usual") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(
        f'[server]\ncontext_policy = "refuse"\n[models."{MODEL}"]\nctx_size = 512\n'
        'parallel = 1\ncontext_policy = "drop_oldest"\n'
    )
    with (
        RunningServer(home, NOIBO_STORE_PATH=str(model_store)) as server,
        openai.OpenAI(base_url=server.url + "/v1", api_key="x", max_retries=0) as client,
    ):
        assert cut_of(chat(client))["messages"] == 4
        with pytest.raises(openai.BadRequestError):
            chat(client, extra_headers={"X-Noibo-Context": "refuse"})
