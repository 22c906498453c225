"""Chats and completions by Ollama's own client, against a real model."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from noibo.wire.ollama.options import OPTIONS
from tests.modelstore.gguf_builder import STRING, U32, text, u32
from tests.running import RunningServer, run_noibo, until

MODEL = "smollm2:135m"
QUESTION = [{"role": "user", "content": "Name a colour."}]
CALM: dict[str, Any] = {"temperature": 0, "num_predict": 6}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
CITY = {
    "type": "object",
    "properties": {"size": {"enum": ["small", "large"]}},
    "required": ["size"],
}


@pytest.fixture(scope="module")
def client(real_server: RunningServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=real_server.url) as client:
        yield client


@pytest.fixture(scope="module")
def http(real_server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=real_server.url, timeout=120) as http:
        yield http


def chat(http: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": QUESTION, "stream": False, "options": CALM} | more
    return http.post("/api/chat", json=body)


def generate(http: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": "Name a colour.", "stream": False, "options": CALM} | more
    return http.post("/api/generate", json=body)


def require_true_counts(answer: Any, begun: float) -> None:
    """Counts and times that belong together; it was asked for at `begun` of the monotonic clock."""
    assert answer["total_duration"] <= (time.monotonic() - begun) * 1e9
    assert answer["eval_count"] == CALM["num_predict"]
    assert answer["prompt_eval_count"] > 10
    assert answer["eval_duration"] > 0
    worked = answer["load_duration"] + answer["prompt_eval_duration"] + answer["eval_duration"]
    assert answer["total_duration"] > 0.9 * worked


# ── chat ────────────────────────────────────────────────────────────────────


def test_a_chat_is_answered_whole_and_in_pieces(client: ollama.Client) -> None:
    begun = time.monotonic()
    whole = client.chat(model=MODEL, messages=QUESTION, options=CALM)
    assert whole.message.role == "assistant"
    assert (whole.done, whole.done_reason, whole.model) == (True, "length", MODEL)
    assert datetime.fromisoformat(str(whole.created_at)[:26]).year > 2000
    require_true_counts(whole, begun)
    begun = time.monotonic()
    *pieces, last = client.chat(MODEL, QUESTION, options=CALM, stream=True)
    assert len(pieces) > 1
    assert not any(piece.done for piece in pieces)
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert (last.done, last.done_reason, last.message.content) == (True, "length", "")
    require_true_counts(last, begun)


def test_a_stream_is_lines_of_json(http: httpx.Client) -> None:
    body = {"model": MODEL, "messages": QUESTION, "options": CALM}  # a stream is what is usual
    answer = http.post("/api/chat", json=body)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


@pytest.mark.anyio
@pytest.mark.heavy
async def test_the_asynchronous_client_is_answered(real_server: RunningServer) -> None:
    async with ollama.AsyncClient(host=real_server.url) as client:
        stream = await client.chat(MODEL, QUESTION, options=CALM, stream=True)
        said = [piece.message.content async for piece in stream]
        answer = await client.generate(MODEL, "Name a colour.", options=CALM)
    assert "".join(map(str, said)) == answer.response
    assert len(said) > 2


def test_an_answer_has_the_form_that_is_asked_for(client: ollama.Client) -> None:
    options = {"temperature": 0, "num_predict": 40}
    answer = client.chat(MODEL, QUESTION, format=CITY, options=options)
    assert json.loads(str(answer.message.content))["size"] in {"small", "large"}
    plain = client.generate(MODEL, "A city.", format=CITY, options=options)
    assert json.loads(plain.response)["size"] in {"small", "large"}
    raw = client.generate(MODEL, "A city:", raw=True, format=CITY, options=options)
    assert json.loads(raw.response)["size"] in {"small", "large"}


def test_any_object_begins_as_one(client: ollama.Client) -> None:
    answer = client.chat(MODEL, QUESTION, format="json", options=CALM)
    assert str(answer.message.content).lstrip().startswith("{")


def test_tools_and_their_answers_are_read(http: httpx.Client) -> None:
    function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    call = {"function": {"name": "weather", "arguments": {"city": "Huế"}}}
    messages = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "It rains.", "tool_name": "weather"},
    ]
    bare = chat(http, messages=messages).json()
    told = chat(http, messages=messages, tools=[{"type": "function", "function": function}]).json()
    assert told["prompt_eval_count"] > bare["prompt_eval_count"]  # it was told of the tool


CALLS: list[dict[str, Any]] = [
    {"name": "weather", "arguments": {"city": "Huế", "days": [1, 2]}},
    {"name": "clock", "arguments": {}},
]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools_are_told_whole(
    http: httpx.Client, client: ollama.Client, stream: bool
) -> None:
    body = {
        "model": "echo",
        "messages": QUESTION,
        "tools": [{"type": "function", "function": {"name": call["name"]}} for call in CALLS],
        "stream": stream,
        "x_echo": {"text": "I look.", "calls": CALLS},
    }
    lines = [json.loads(line) for line in http.post("/api/chat", json=body).text.splitlines()]
    told = [line["message"]["tool_calls"] for line in lines if "tool_calls" in line["message"]]
    ids = [call.pop("id") for call in told[0]]
    assert told == [[{"function": {"index": n} | call} for n, call in enumerate(CALLS)]]
    assert len(set(ids)) == len(CALLS)
    assert "".join(line["message"]["content"] for line in lines) == "I look."
    assert (lines[-1]["done"], lines[-1]["done_reason"]) == (True, "stop")
    # As its own client reads it, which sends no script: hence not by its method.
    read = client._request(ollama.ChatResponse, "POST", "/api/chat", json=body, stream=stream)
    answers: list[ollama.ChatResponse] = list(read) if stream else [read]  # type: ignore[list-item]
    found = [call.function for one in answers for call in one.message.tool_calls or ()]
    assert [{"name": one.name, "arguments": one.arguments} for one in found] == CALLS


def test_times_are_those_that_the_caller_waits(http: httpx.Client) -> None:
    script = {"text": "one two three four five six", "delay_ms": 60}
    least = 0.9 * 6 * 60e6  # sleeps may end a little early
    generate(http, model="echo", prompt="", keep_alive=0)  # it is loaded anew
    loads = []
    for stream in (False, True):
        begun = time.monotonic()
        answer = chat(http, model="echo", stream=stream, x_echo=script)
        waited = (time.monotonic() - begun) * 1e9
        last = json.loads(answer.text.splitlines()[-1])
        loads.append(last["load_duration"])
        assert loads[-1] + least <= last["total_duration"] <= waited
    assert loads[0] > 10**7 > loads[1]  # a process is started, and one that is there is asked


def test_log_probabilities_come_when_asked_for(client: ollama.Client) -> None:
    answer = client.chat(MODEL, QUESTION, options=CALM, logprobs=True, top_logprobs=2)
    assert answer.logprobs is not None
    assert "".join(one.token for one in answer.logprobs) == answer.message.content
    assert all(one.logprob <= 0 and len(one.top_logprobs or ()) == 2 for one in answer.logprobs)
    more: dict[str, Any] = {"options": CALM, "logprobs": True}
    raw = client.generate(MODEL, "A colour:", raw=True, top_logprobs=1, **more)
    assert raw.logprobs is not None
    assert all(len(one.top_logprobs or ()) == 1 for one in raw.logprobs)
    assert "".join(one.token for one in raw.logprobs) == raw.response
    assert client.chat(MODEL, QUESTION, options=CALM).logprobs is None


# ── generate ────────────────────────────────────────────────────────────────


def test_a_prompt_is_a_chat_of_one_message(client: ollama.Client) -> None:
    begun = time.monotonic()
    whole = client.generate(MODEL, "Name a colour.", options=CALM)
    require_true_counts(whole, begun)
    assert whole.response == client.chat(MODEL, QUESTION, options=CALM).message.content
    pieces = list(client.generate(MODEL, "Name a colour.", options=CALM, stream=True))
    assert "".join(piece.response for piece in pieces) == whole.response
    assert pieces[-1].context == whole.context


def test_the_system_prompt_is_read(client: ollama.Client) -> None:
    said = {"role": "system", "content": "You are a pirate. Say arr."}
    whole = client.generate(MODEL, "Name a colour.", system=said["content"], options=CALM)
    same = client.chat(MODEL, [said, *QUESTION], options=CALM)
    assert (whole.response, whole.prompt_eval_count) == (
        same.message.content,
        same.prompt_eval_count,
    )


def test_the_context_is_the_conversation_in_tokens(client: ollama.Client) -> None:
    first = client.generate(MODEL, "Name a colour.", options=CALM)
    assert first.context is not None
    assert len(first.context) == (first.prompt_eval_count or 0) + CALM["num_predict"]
    alone = client.generate(MODEL, "Another.", options=CALM)
    second = client.generate(MODEL, "Another.", context=first.context, options=CALM)
    assert second.context is not None
    assert list(second.context[: len(first.context)]) == list(first.context)
    assert (second.prompt_eval_count or 0) > len(first.context)
    assert (second.prompt_eval_count or 0) > (alone.prompt_eval_count or 0)


def test_a_raw_prompt_is_read_as_it_is(client: ollama.Client) -> None:
    raw = client.generate(MODEL, "one two three", raw=True, options=CALM)
    assert raw.prompt_eval_count == 3
    assert raw.context is None


# ── what a request may ask for ──────────────────────────────────────────────

EFFECTS: dict[str, Any] = {
    "seed": (7, {"temperature": 2.0}),
    "temperature": (5.0, {"seed": 1}),
    "top_k": (1, {"temperature": 5.0, "seed": 1}),
    "top_p": (0.0, {"temperature": 5.0, "seed": 1}),
    "min_p": (1.0, {"temperature": 5.0, "seed": 1}),
    "typical_p": (0.01, {"temperature": 5.0, "seed": 1}),
    "mirostat": (2, {"temperature": 5.0, "seed": 1}),
    "mirostat_tau": (0.1, {"mirostat": 2, "temperature": 5.0, "seed": 1}),
    "mirostat_eta": (1.0, {"mirostat": 2, "temperature": 5.0, "seed": 1}),
    "repeat_last_n": (0, {"repeat_penalty": 5.0}),
    "repeat_penalty": (5.0, {}),
    "presence_penalty": (100.0, {}),
    "frequency_penalty": (100.0, {}),
}
CHANGED = {"temperature": 0, "num_predict": 12, "repeat_penalty": 1.0, "seed": 3}


@pytest.mark.heavy
@pytest.mark.parametrize("name", EFFECTS)
def test_an_option_changes_the_answer(client: ollama.Client, name: str) -> None:
    value, more = EFFECTS[name]
    before = CHANGED | more
    prompt = "red red red red red"
    plain = client.generate(MODEL, prompt, raw=True, options=before)
    other = client.generate(MODEL, prompt, raw=True, options=before | {name: value})
    assert other.response != plain.response


def test_an_answer_ends_where_it_is_told_to(client: ollama.Client) -> None:
    whole = client.generate(MODEL, "one two three", raw=True, options=CALM).response
    word = whole.split()[1]
    stopped = client.generate(MODEL, "one two three", raw=True, options=CALM | {"stop": [word]})
    assert stopped.response == whole.partition(word)[0]
    assert stopped.done_reason == "stop"
    short = client.generate(MODEL, "one two three", raw=True, options=CALM | {"num_predict": 2})
    assert (short.eval_count, short.done_reason) == (2, "length")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"images": [PIXEL]}, "images"),
        ({"messages": [{"role": "user", "content": "?", "images": [PIXEL]}]}, "images"),
        ({"suffix": "end"}, "suffix"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"raw": True, "system": "x"}, "raw"),
        ({"raw": True, "context": [1]}, "raw"),
        ({"context": [10**9]}, "context"),
        ({"context": ["x"]}, "context"),
        ({"context": [1], "images": [PIXEL]}, "images"),
        ({"suffix": "x", "system": "y"}, "suffix"),
        ({"suffix": "x", "think": True}, "think: not together with suffix"),
        ({"raw": True, "think": "low"}, "think: a level is told by"),
        ({"format": {"not": {}}}, "format: "),
        ({"raw": True, "format": {"not": {}}}, "format: "),
        ({"think": True}, "thinking"),
        ({"think": "low"}, "thinking"),
        ({"think": "deeply"}, "think"),
        ({"format": "yaml"}, "format"),
        ({"shift": True}, "shift"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"options": {"num_ctx": -1}}, "num_ctx"),
        ({"options": {"nonsense": 1}}, "nonsense"),
        ({"width": 512}, "width"),
        ({"height": 512}, "height"),
        ({"steps": 9}, "steps"),
        ({"_debug_render_only": True}, "_debug_render_only"),
    ],
)
def test_what_cannot_be_is_a_400_that_names_it(
    http: httpx.Client, more: dict[str, Any], param: str
) -> None:
    ask = chat if "messages" in more else generate
    answer = ask(http, **more)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}
    assert param in answer.json()["error"]
    assert "response_format" not in answer.json()["error"]  # the engine's name for it


@pytest.mark.parametrize(
    "more",
    [
        {"think": False},
        {"shift": False},
        {"truncate": False},
        {"keep_alive": "5m"},
        {"keep_alive": 300},
        {"format": ""},
        {"format": None},
        {"template": "", "system": "", "suffix": "", "images": [], "context": []},
        {"options": {"num_ctx": 1024, "num_gpu": 99, "num_thread": 4, "num_batch": 512} | CALM},
        {"options": {"use_mmap": True, "main_gpu": 0, "numa": False, "num_keep": 4} | CALM},
        {"something_of_tomorrow": True},
    ],
)
def test_what_changes_no_answer_is_accepted(http: httpx.Client, more: dict[str, Any]) -> None:
    plain, other = generate(http), generate(http, **more)
    assert other.status_code == 200, other.text
    assert other.json()["response"] == plain.json()["response"]


def test_every_option_is_refused_in_a_wrong_type(http: httpx.Client) -> None:
    for name in OPTIONS:
        answer = generate(http, options={name: {}})
        assert answer.status_code == 400
        assert f"options.{name}" in answer.json()["error"]


def test_a_chat_that_is_too_long_loses_its_oldest_messages(http: httpx.Client) -> None:
    old = {"role": "user", "content": "word " * 2100}  # the context is 2048
    system = {"role": "system", "content": "Be brief."}
    one = {"num_predict": 1}
    bare = chat(http, messages=[system, *QUESTION], options=one).json()
    short = chat(http, messages=[system, old, old, *QUESTION], options=one)
    assert short.status_code == 200, short.text
    assert short.json()["prompt_eval_count"] == bare["prompt_eval_count"]
    assert short.headers["X-Noibo-Cut"].startswith("policy=drop_oldest; messages=2; tokens=4")
    kept = chat(http, messages=[old, *QUESTION], options=one, truncate=False)
    assert kept.status_code == 400
    assert "context" in kept.json()["error"]
    alone = chat(http, messages=[old])
    assert alone.status_code == 400


def test_without_anything_to_answer_the_model_is_loaded(client: ollama.Client) -> None:
    assert client.generate(MODEL).done_reason == "load"
    loaded = client.chat(MODEL, [])
    assert (loaded.done, loaded.done_reason, loaded.message.content) == (True, "load", "")
    (row,) = (one for one in client.ps().models if one.model == MODEL)
    assert row.size > 50 * 2**20
    assert (row.size_vram, row.context_length) == (0, 2048)
    assert row.digest in {one.digest for one in client.list().models}
    assert row.expires_at.timestamp() > datetime.now().timestamp()


def test_vectors_come_for_texts(client: ollama.Client) -> None:
    both = client.embed(MODEL, ["one", "two"])
    assert len(both.embeddings) == 2
    assert both.prompt_eval_count
    assert sum(x * x for x in both.embeddings[0]) == pytest.approx(1, abs=1e-3)
    single = client.embed(MODEL, "one", dimensions=64).embeddings
    assert [len(one) for one in single] == [64]
    old = client.embeddings(MODEL, "one").embedding
    assert old == pytest.approx(both.embeddings[0], abs=1e-3)
    assert client.embed(MODEL, "").embeddings == []


def test_what_is_asked_for_beside_a_text_has_its_effect(
    client: ollama.Client, real_server: RunningServer
) -> None:
    def left() -> float:
        """How long the worker stays that embeds, in seconds."""
        with real_server.client() as noibo:
            (until,) = (row.keep_until for row in noibo.workers() if row.verb == "embed")
        return (until or 0) - time.time()

    text, few = "red green blue " * 20, {"num_ctx": 4}
    whole = client.embed(MODEL, text, keep_alive="10m")
    assert 500 < left() < 601
    cut = client.embed(MODEL, text, options=few)
    assert cut.prompt_eval_count == 4 < (whole.prompt_eval_count or 0)
    with pytest.raises(ollama.ResponseError, match="4 are to be read at most"):
        client.embed(MODEL, text, options=few, truncate=False)
    old = client.embeddings(MODEL, text, options=few, keep_alive="15m").embedding
    assert 800 < left() < 901
    assert old == pytest.approx(cut.embeddings[0], abs=1e-3)
    assert old != pytest.approx(whole.embeddings[0], abs=1e-3)


@pytest.fixture(scope="module")
def workshop(
    smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ollama.Client]:
    """A server with the real model and a store of its own, and its client."""
    home = tmp_path_factory.mktemp("workshop") / "home"
    assert run_noibo("add", str(smollm2_gguf), "--name", MODEL, home=home).returncode == 0
    with RunningServer(home) as server, ollama.Client(host=server.url) as client:
        yield client


@pytest.mark.heavy
def test_a_made_model_answers_as_it_was_made(workshop: ollama.Client) -> None:
    said = "You are a pirate. Say arr."
    before = {"role": "user", "content": "Ahoy"}
    workshop.create(
        "pirate", from_=MODEL, system=said, messages=[before], parameters=CALM, stream=False
    )
    made = workshop.chat("pirate", QUESTION)
    full = [{"role": "system", "content": said}, before, *QUESTION]
    same = workshop.chat(MODEL, full, options=CALM)
    assert made.message.content == same.message.content
    assert made.prompt_eval_count == same.prompt_eval_count
    assert (made.eval_count, made.done_reason) == (CALM["num_predict"], "length")
    plain = "{{ .System }}|{{ .Prompt }}|{{ .Response }}"
    workshop.create("plain", from_=MODEL, template=plain, stream=False)
    raw = workshop.generate(MODEL, "be calm|one two|", raw=True, options=CALM)
    templated = workshop.generate("plain", "one two", system="be calm", options=CALM)
    assert templated.response == raw.response
    assert templated.prompt_eval_count == raw.prompt_eval_count


@pytest.mark.heavy
@pytest.mark.shared
def test_thought_is_told_apart(workshop: ollama.Client, shared: Path) -> None:
    templates = shared / "conformance" / "chat_templates"
    always = (templates / "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja").read_text()
    workshop.create("thinker", from_=MODEL, template=always, stream=False)
    assert "thinking" in (workshop.show("thinker").capabilities or ())
    thought = workshop.chat("thinker", QUESTION, think=True, options=CALM)
    assert (bool(thought.message.thinking), thought.message.content) == (True, "")
    usual = workshop.generate("thinker", "Name a colour.", options=CALM)
    assert (usual.thinking, usual.response) == (thought.message.thinking, "")
    pieces = list(workshop.generate("thinker", "Name a colour.", options=CALM, stream=True))
    assert "".join(piece.thinking or "" for piece in pieces) == usual.thinking
    second = workshop.generate("thinker", "And now?", context=usual.context, options=CALM)
    assert (bool(second.thinking), second.response) == (True, "")
    opened = "Name a colour.\n<think>\n"
    raw = workshop.generate("thinker", opened, raw=True, options=CALM)
    assert (bool(raw.thinking), raw.response) == (True, "")
    pieces = list(workshop.generate("thinker", opened, raw=True, options=CALM, stream=True))
    assert "".join(piece.thinking or "" for piece in pieces) == raw.thinking
    unopened = workshop.generate("thinker", "Name a colour.", raw=True, think=True, options=CALM)
    assert (unopened.thinking, bool(unopened.response)) == (None, True)
    with pytest.raises(ollama.ResponseError, match="cannot answer without thinking"):
        workshop.chat("thinker", QUESTION, think=False)
    with pytest.raises(ollama.ResponseError, match="has no levels of thinking"):
        workshop.chat("thinker", QUESTION, think="low")


@pytest.mark.heavy
@pytest.mark.shared
def test_thinking_is_switched_off(workshop: ollama.Client, shared: Path) -> None:
    template = shared / "conformance" / "chat_templates" / "Qwen-Qwen3-0.6B.jinja"
    workshop.create("switched", from_=MODEL, template=template.read_text(), stream=False)
    usual = workshop.chat("switched", QUESTION, options=CALM)
    quiet = workshop.chat("switched", QUESTION, think=False, options=CALM)
    assert (quiet.prompt_eval_count or 0) > (usual.prompt_eval_count or 0)  # an empty thought
    assert quiet.message.content
    assert not quiet.message.thinking
    opened: dict[str, Any] = {"prompt": "A colour.\n<think>\n", "raw": True, "options": CALM}
    parted = workshop.generate("switched", **opened)
    plain = workshop.generate("switched", **opened, think=False)
    assert (plain.thinking, plain.response.strip()) == (None, (parted.thinking or "").strip())


def with_gap_tokens(path: Path, made: Path) -> Path:
    """The model with the keys of one that fills gaps: some of its own tokens stand for them."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<Q", data, 16)
    keys = b"".join(
        text(f"tokenizer.ggml.fim_{name}_token_id") + u32(U32) + u32(token)
        for name, token in (("pre", 3), ("suf", 4), ("mid", 5))
    )
    head = text("general.comment") + u32(STRING)
    filling = -(len(keys) + len(head) + 8) % 32  # what follows stays where it is aligned
    more = keys + head + text("x" * filling)
    made.write_bytes(data[:16] + struct.pack("<Q", count + 4) + more + data[24:])
    return made


@pytest.mark.heavy
def test_a_gap_is_filled(workshop: ollama.Client, smollm2_gguf: Path, tmp_path: Path) -> None:
    coder = with_gap_tokens(smollm2_gguf, tmp_path / "coder.gguf")
    digest = workshop.create_blob(coder)
    workshop.create("coder", files={"coder.gguf": digest}, stream=False)
    assert "insert" in (workshop.show("coder").capabilities or ())
    before, after = "def add(a, b):", "    return c"
    filled = workshop.generate("coder", before, suffix=after, options=CALM)
    lengths = [
        workshop.generate("coder", part, raw=True, options={"num_predict": 1}).prompt_eval_count
        for part in (before, after)
    ]
    assert filled.prompt_eval_count == sum(map(int, map(str, lengths))) + 3
    assert filled.response


@pytest.mark.heavy
def test_a_larger_context_is_loaded_when_asked_for(workshop: ollama.Client) -> None:
    def asked(**options: int) -> int | None:
        answer = workshop.generate(MODEL, "x", options={"num_predict": 1, **options})
        loads.append((answer.load_duration or 0) > 10**8)
        (row,) = (row for row in workshop.ps().models if row.model == MODEL)
        return row.context_length

    loads: list[bool] = []
    workshop.generate(MODEL, keep_alive=0)
    assert [asked(), asked(num_ctx=6000), asked(), asked(num_ctx=5000)] == [4096, *[8192] * 3]
    assert loads[2:] == [False, False]  # the larger serves all
    workshop.generate(MODEL, keep_alive=0)
    assert asked() == 4096  # and is forgotten when nobody uses it


def test_a_context_larger_than_can_be_is_as_large_as_can_be_and_said(http: httpx.Client) -> None:
    answer = generate(http, options={"num_ctx": 9000, "num_predict": 1})
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Noibo-Context"] == "2048; asked=9000"
    assert "X-Noibo-Context" not in generate(http, options={"num_predict": 1}).headers


# ── bad bodies, and the second port ─────────────────────────────────────────

PATHS = (
    *("chat", "generate", "embed", "embeddings"),
    *("show", "create", "copy", "delete", "pull", "push"),
)
BAD: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b'{"model": 5}',
    b'{"model": null}',
    b'{"model": ""}',
    b'{"model": "a", "model": "b"}',
    b'{"model": NaN}',
    b'{"model": "\\ud800"}',
    b'{"model": ' + b"[" * 100_000,
    b'{"model": "smollm2:135m", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"model": "../../etc/passwd"}',
    b'{"model": "http://nowhere.invalid/x.gguf"} trailing',
]
BAD_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"messages": {}}),
    ("chat", {"messages": [5]}),
    ("chat", {"messages": [{"role": 5, "content": "x"}]}),
    ("chat", {"messages": QUESTION, "tools": "x"}),
    ("chat", {"messages": QUESTION, "tools": [{"type": "function"}]}),
    ("chat", {"messages": QUESTION, "tools": [{"function": {"name": 5}}]}),
    ("chat", {"messages": QUESTION, "stream": "yes"}),
    ("chat", {"messages": QUESTION, "options": []}),
    ("chat", {"messages": QUESTION, "format": {"type": "nonsense"}}),
    ("chat", {"messages": QUESTION, "format": [1]}),
    ("chat", {"messages": QUESTION, "think": 3}),
    ("chat", {"messages": QUESTION, "logprobs": "x"}),
    ("chat", {"messages": QUESTION, "keep_alive": []}),
    ("generate", {"prompt": 5}),
    ("generate", {"prompt": "x", "images": "x"}),
    ("generate", {"prompt": "x", "context": "x"}),
    ("generate", {"prompt": "x", "raw": 1}),
    ("generate", {"prompt": "x", "truncate": "x"}),
    ("embed", {"input": 5}),
    ("embed", {"input": [5]}),
    ("embed", {"input": "x", "dimensions": -1}),
    ("embed", {"input": "x", "options": {"nonsense": 1}}),
    ("embed", {"input": "x", "truncate": "x"}),
    ("embed", {"input": "x", "keep_alive": "soon"}),
    ("embeddings", {"prompt": []}),
    ("embeddings", {"prompt": "x", "options": {"nonsense": 1}}),
    ("embeddings", {"prompt": "x", "keep_alive": "soon"}),
    ("show", {"verbose": "x"}),
    ("create", {"from": 5}),
    ("create", {"files": []}),
    ("pull", {"stream": 5}),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_body_is_a_400_in_ollamas_shape(http: httpx.Client, path: str) -> None:
    for body in BAD:
        verb = "DELETE" if path == "delete" else "POST"
        answer = http.request(verb, f"/api/{path}", content=body)
        assert 400 <= answer.status_code < 500, (body[:80], answer.text)
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(("path", "more"), BAD_FIELDS)
def test_a_bad_field_is_a_400_in_ollamas_shape(
    http: httpx.Client, path: str, more: dict[str, Any]
) -> None:
    body = {"model": MODEL, "options": {"num_predict": 1}} | more
    answer = http.post(f"/api/{path}", json=body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.heavy
def test_a_second_port_serves_the_same(home: Path) -> None:
    port = _free_port()
    with RunningServer(home, NOIBO_SERVER_OLLAMA_PORT=str(port)) as server:
        second = f"http://127.0.0.1:{port}"
        for url in (server.url, second):
            assert httpx.get(f"{url}/").text == "Ollama is running"
            assert httpx.get(f"{url}/v1/models").json()["object"] == "list"
        with ollama.Client(host=second) as client:
            answer = client.chat("echo", [{"role": "user", "content": "xin chào"}])
        assert answer.message.content == "xin chào"
        assert answer.eval_count == 2
        taken = {"NOIBO_SERVER_OLLAMA_PORT": str(port)}
        second_one = run_noibo("serve", "--port", "0", home=home.parent / "other", **taken)
    assert second_one.returncode == 9
    assert f"Port {port} on 127.0.0.1 is taken" in second_one.stderr
    assert "server.ollama_port" in second_one.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_error_in_the_middle_is_a_line(server: RunningServer) -> None:
    long = "word " * 300_000  # more than fits on the way
    body = {"model": "echo", "messages": [{"role": "user", "content": long}]}
    with httpx.stream("POST", f"{server.url}/api/chat", json=body, timeout=60) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["done"] is False
        (worker,) = server.workers()
        os.kill(worker.pid, 9)
        last = json.loads([line for line in lines if line][-1])
    assert set(last) == {"error"}


def test_a_model_is_unloaded_when_asked(server: RunningServer) -> None:
    with ollama.Client(host=server.url) as client:
        client.generate("echo", "hi", keep_alive="10m")
        (row,) = client.ps().models
        left = row.expires_at.timestamp() - datetime.now().timestamp()
        assert 500 < left < 601
        assert client.generate("echo", keep_alive=0).done_reason == "unload"
        until(lambda: not client.ps().models, "the model is gone")
        assert client.chat("echo", [], keep_alive=0).done_reason == "unload"  # it was not there
        assert client.ps().models == []
