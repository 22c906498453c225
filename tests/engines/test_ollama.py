"""The ollama engine against transcripts of the real Ollama, replayed on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from noibo.engines.engine import Verb
from noibo.engines.ollama import asked as ollama_asked
from noibo.engines.ollama.adapter import Ollama
from noibo.engines.ollama.dialect import LOAD
from noibo.engines.ollama.facts import Facts, full, version_of
from noibo.engines.ollama.told import Lines, Teller
from noibo.engines.ollama.window import FRAME, USUAL, Window
from noibo.engines.remote.breaker import FAILURES
from noibo.errors import (
    ContextExceeded,
    EngineError,
    EngineRefused,
    InvalidRequest,
    NoiboError,
    NotSupported,
    UpstreamFailed,
)
from noibo.wire import openai
from noibo.wire.openai import Assembler
from tests.engines.elsewhere import (
    CHAT,
    CHUNKED,
    HELLO,
    Asked,
    Peer,
    chunk,
    raw,
    reached,
    said,
    whole,
)

TRANSCRIPTS = Path(__file__).parent / "transcripts" / "ollama"
COMPLETION = "/v1/completions"
Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def transcript(name: str) -> bytes:
    return (TRANSCRIPTS / name).read_bytes()


def as_json(name: str) -> Any:
    return json.loads(transcript(name))


class Replay:
    """An Ollama that says what a transcript says; `cut` is how many bytes come in one packet."""

    def __init__(
        self,
        name: str,
        status: int = 200,
        *,
        cut: int = 0,
        version: str = "0.33.1",
        trained: int = 8192,
        loaded: int = 0,
    ) -> None:
        self.answers = [(status, name)]
        self.cut = cut
        self.version = version
        self.trained = trained
        self.loaded = loaded

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path == "/api/version":
            writer.write(whole(200, {"version": self.version}))
        elif asked.path == "/api/show":
            shown = as_json("show.json")
            shown["model_info"]["llama.context_length"] = self.trained
            writer.write(whole(200, shown))
        elif asked.path == "/api/ps":
            row = {"name": "near:latest", "context_length": self.loaded}
            writer.write(whole(200, {"models": [row] if self.loaded else []}))
        else:
            await self._answer(writer)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        status, name = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        said = transcript(name)
        if name.endswith(".json"):
            writer.write(whole(status, said))
            return
        writer.write(CHUNKED)
        size = self.cut or len(said)
        for start in range(0, len(said), size):
            writer.write(chunk(said[start : start + size]))
            await writer.drain()
            if self.cut:
                await asyncio.sleep(0)
        writer.write(chunk(b""))


def generations(there: Peer) -> list[dict[str, Any]]:
    return [one.body for one in there.asked if one.path in {"/api/chat", "/api/generate"}]


def events(said: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in said.split(b"\n\n") if line]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def assembled(said: bytes, *, chat: bool = True) -> dict[str, Any]:
    assembler = Assembler(chat=chat)
    for event in events(said):
        assembler.add(event)
    return assembler.answer()


# ── answers ─────────────────────────────────────────────────────────────────


@pytest.mark.anyio
@pytest.mark.parametrize("cut", [0, 1, 7, 150])
async def test_a_stream_is_told_however_its_lines_are_cut(cut: int) -> None:
    async with reached(Replay("chat_thinking_tools.jsonl", cut=cut), Ollama) as (_, up):
        status, told = await said(up, stream=True, stream_options={"include_usage": True})
    assert status == 200
    assert told.endswith(b"data: [DONE]\n\n")
    answer = assembled(told)
    (choice,) = answer["choices"]
    assert choice["message"]["reasoning_content"] == "The"
    assert choice["message"]["content"] == "The current"
    call = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert choice["message"]["tool_calls"] == [
        {"id": "call_ar8ywtqm", "type": "function", "function": call}
    ]
    assert choice["finish_reason"] == "tool_calls"
    assert answer["usage"] == {"prompt_tokens": 90, "completion_tokens": 52, "total_tokens": 142}
    assert answer["timings"]["predicted_ms"] == pytest.approx(881.612375)


@pytest.mark.anyio
async def test_usage_comes_in_a_stream_only_where_it_was_asked_for() -> None:
    async with reached(Replay("chat_stream.jsonl"), Ollama) as (_, up):
        _, told = await said(up, stream=True)
    assert not [event for event in events(told) if "usage" in event]
    assert {event["object"] for event in events(told)} == {"chat.completion.chunk"}


@pytest.mark.anyio
async def test_a_whole_answer_is_one_document() -> None:
    async with reached(Replay("chat_whole.json"), Ollama) as (there, up):
        status, told = await said(up)
    answer = json.loads(told)
    assert (status, answer["object"]) == (200, "chat.completion")
    assert answer["choices"][0]["message"]["content"] == "Hello! How are you today?"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 298
    assert generations(there)[0]["stream"] is False


@pytest.mark.anyio
async def test_a_tool_call_without_an_id_gets_one() -> None:
    async with reached(Replay("chat_tools.json"), Ollama) as (_, up):
        _, told = await said(up)
    message = json.loads(told)["choices"][0]["message"]
    assert message["content"] is None
    (call,) = message["tool_calls"]
    assert call["id"].startswith("call_")
    assert json.loads(call["function"]["arguments"]) == {
        "format": "celsius",
        "location": "Paris, FR",
    }


@pytest.mark.anyio
async def test_a_completion_is_generated_from_the_bare_prompt() -> None:
    async with reached(Replay("generate_stream.jsonl"), Ollama) as (there, up):
        _, told = await said(up, COMPLETION, prompt="Say", stream=True, max_tokens=9)
    assert assembled(told, chat=False)["choices"][0]["text"] == "That's a fantastic question!"
    (body,) = generations(there)
    assert (body["prompt"], body["raw"], body["options"]["num_predict"]) == ("Say", True, 9)


@pytest.mark.anyio
async def test_an_error_in_the_middle_of_a_stream_is_its_last_event() -> None:
    async with reached(Replay("generate_error.jsonl"), Ollama) as (_, up):
        status, told = await said(up, COMPLETION, prompt="Say", stream=True)
    assert status == 200
    assert events(told)[-1]["error"]["message"] == (
        "an error was encountered while running the model"
    )
    assert b"[DONE]" not in told


@pytest.mark.anyio
async def test_log_probabilities_are_told_as_openai_does() -> None:
    async with reached(Replay("chat_logprobs.jsonl"), Ollama) as (there, up):
        _, told = await said(up, stream=True, logprobs=True, top_logprobs=2)
    rows = assembled(told)["choices"][0]["logprobs"]["content"]
    assert [row["token"] for row in rows] == ["Xin", " chào"]
    assert rows[0]["top_logprobs"][1]["token"] == "Hi"
    assert rows[1]["bytes"] == list(" chào".encode())
    assert assembled(told)["choices"][0]["finish_reason"] == "length"
    assert generations(there)[0]["top_logprobs"] == 2


@pytest.mark.anyio
async def test_an_ollama_that_says_no_log_probabilities_is_not_asked_for_any() -> None:
    async with reached(Replay("chat_stream.jsonl", version="0.12.10"), Ollama) as (there, up):
        with pytest.raises(NotSupported, match="log-probabilities"):
            await said(up, logprobs=True)
    assert not generations(there)


@pytest.mark.anyio
async def test_vectors_are_told_where_one_document_is_asked_for() -> None:
    async with reached(Replay("embed.json"), Ollama) as (there, up):
        asked = {"input": ["a", "b"], "encoding_format": "base64"}
        found = await up.ask(Verb.EMBED, "/v1/embeddings", asked)
        _, plain = await said(up, "/v1/embeddings", input="a")
    assert [one["index"] for one in found["data"]] == [0, 1]
    first = array("f", base64.b64decode(found["data"][0]["embedding"]))
    assert first[0] == pytest.approx(0.010071029)
    assert found["usage"]["prompt_tokens"] == 8
    assert json.loads(plain)["data"][1]["embedding"][1] == pytest.approx(0.06042469)
    body = there.asked[-1].body
    assert (body["truncate"], body["options"]["num_ctx"]) == (False, 8192)


# ── the context ─────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_every_request_says_its_context_and_that_nothing_is_to_be_cut() -> None:
    async with reached(Replay("chat_whole.json"), Ollama) as (there, up):
        await said(up)
        long = [{"role": "user", "content": "x" * 15_000}]
        async with up.generate(CHAT, raw(messages=long, max_tokens=100)) as response:
            await response.read()
        await said(up)
    bodies = generations(there)
    assert [body["options"]["num_ctx"] for body in bodies] == [USUAL, 8192, 8192]
    assert all(body["truncate"] is False and body["shift"] is False for body in bodies)
    assert there.paths().count("/api/show") == 1


@pytest.mark.anyio
async def test_what_is_loaded_with_more_is_not_loaded_anew() -> None:
    async with reached(Replay("chat_whole.json", loaded=8192), Ollama) as (there, up):
        await said(up)
    assert generations(there)[0]["options"]["num_ctx"] == 8192


@pytest.mark.anyio
async def test_a_refusal_for_length_is_asked_again_with_more_context() -> None:
    replay = Replay("chat_whole.json", trained=32_768)
    replay.answers = [(400, "too_long_0.12.6.json"), (400, "too_long_0.12.6.json"),
                      (200, "chat_whole.json")]  # fmt: skip
    async with reached(replay, Ollama) as (there, up):
        assert (await said(up))[0] == 200
    assert [body["options"]["num_ctx"] for body in generations(there)] == [4096, 8192, 16384]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["too_long_0.40.json", "too_long_0.12.6.json"])
async def test_what_is_longer_than_the_model_is_refused_with_both_numbers(name: str) -> None:
    async with (
        reached(Replay(name, 400, trained=4096), Ollama) as (_, up),
        up.generate(CHAT, raw(messages=HELLO)) as response,
    ):
        error = up.refusal(response, await response.read())
    assert isinstance(error, ContextExceeded)
    assert error.prompt > error.window
    assert openai.error_body(error)["error"]["code"] == "context_length_exceeded"


@pytest.mark.anyio
async def test_an_old_ollama_is_sent_only_what_surely_fits() -> None:
    async with reached(Replay("chat_whole.json", version="0.12.5"), Ollama) as (there, up):
        await said(up)
        for size, status in ((6000, 200), (9000, 400)):
            try:
                got = (await said(up, messages=[{"role": "user", "content": "x" * size}]))[0]
            except NoiboError as error:
                got = error.status
            assert got == status
    assert len(generations(there)) == 2


@pytest.mark.anyio
async def test_a_prompt_that_was_cut_all_the_same_is_an_error() -> None:
    replay = Replay("cut_0.12.5.json")
    async with reached(replay, Ollama, ctx_size=512) as (there, up):
        with pytest.raises(ContextExceeded, match="512"):
            await said(up)
    assert generations(there)[0]["options"]["num_ctx"] == 512


@pytest.mark.anyio
async def test_another_refusal_is_told_in_its_own_words() -> None:
    async with (
        reached(Replay("no_pictures_0.34.json", 400), Ollama) as (there, up),
        up.generate(CHAT, raw(messages=HELLO)) as response,
    ):
        error = up.refusal(response, await response.read())
    assert isinstance(error, EngineRefused)
    assert (error.status, len(generations(there))) == (400, 1)
    assert error.message.startswith("Multimodal data provided")


@pytest.mark.anyio
async def test_a_model_that_is_not_there_is_said_to_be() -> None:
    async def nothing(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(404, {"error": "model 'near' not found"}))

    async with reached(nothing, Ollama) as (_, up):
        with pytest.raises(EngineRefused, match="model 'near' not found") as error:
            await said(up)
    assert error.value.status == 404
    assert "ollama pull" in error.value.next_step


@pytest.mark.anyio
@pytest.mark.parametrize("status", [302, 401])
async def test_before_the_question_too_it_is_noibo_that_is_refused(status: int) -> None:
    async def refuses(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(status, {"error": "who are you?"}))

    async with reached(refuses, Ollama) as (there, up):
        with pytest.raises(UpstreamFailed, match=f"status {status}"):
            await up.ask(Verb.EMBED, "/v1/embeddings", {"input": "a"})
    assert there.paths() == ["/api/show"]


@pytest.mark.anyio
async def test_one_that_has_no_time_to_say_what_it_is_is_asked_again() -> None:
    replay, busy = Replay("chat_whole.json"), [502, 503]

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if busy:
            writer.write(whole(busy.pop(), {}, Retry_After="0"))
        else:
            await replay(asked, writer)

    async with reached(answer, Ollama) as (there, up):
        assert (await said(up))[0] == 200
    assert there.paths().count("/api/show") == 3


@pytest.mark.anyio
async def test_one_that_never_has_time_to_say_it_is_left_alone() -> None:
    async def busy(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(503, {}))

    async with reached(busy, Ollama, retries=0) as (_, up):
        for _ in range(FAILURES):
            assert (await said(up))[0] == 503
        assert up.worker.facts()["placement"]["breaker"] == "open"


@pytest.mark.anyio
async def test_those_who_ask_first_side_by_side_share_one_window() -> None:
    long = [{"role": "user", "content": "x" * 15_000}]
    async with reached(Replay("chat_whole.json"), Ollama) as (there, up):
        await asyncio.gather(said(up, messages=long, max_tokens=100), said(up), said(up))
        await said(up)
    assert generations(there)[-1]["options"]["num_ctx"] == 8192


@pytest.mark.anyio
async def test_it_is_loaded_as_large_as_it_will_be_used() -> None:
    replay = Replay("chat_whole.json", loaded=8192)
    async with reached(replay, Ollama) as (there, up):
        await up.ask(Verb.GENERATE, LOAD, {})
    (body,) = generations(there)
    assert body == {"model": "near", "stream": False, "options": {"num_ctx": 8192}}


def test_windows_grow_by_powers_of_two_up_to_what_was_trained() -> None:
    window = Window.of(100_000, True, 0, 0)
    assert window.hold(300, 0, 100) == USUAL
    assert window.hold(60_000, 0, 1000) == 32_768
    assert window.hold(300, 0, 100) == 32_768
    assert window.grow()
    assert window.grow()
    assert window.size == 100_000
    assert not window.grow()
    fixed = Window.of(100_000, True, 0, 2048)
    assert fixed.hold(10**6, 0, None) == 2048
    assert not fixed.grow()
    with pytest.raises(ContextExceeded):
        Window.of(4096, False, 0, 0).hold(4096 - FRAME, 0, None)


# ── what it is asked ────────────────────────────────────────────────────────


def native(path: str = CHAT, **fields: Any) -> dict[str, Any]:
    body = ({"messages": HELLO} if path == CHAT else {}) | fields
    asked = ollama_asked.read(path, raw(**body), "there", levels=False)
    found: dict[str, Any] = json.loads(asked.native(4096))
    return found


def test_a_conversation_with_tools_and_pictures_is_told_in_its_words() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
    body = native(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What?"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "h"},
            {"role": "tool", "tool_call_id": "c1", "content": "21 °C"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
    )
    function = {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?", "images": ["iVBORw0="]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "h",
            "tool_calls": [{"id": "c1", "function": function}],
        },
        {"role": "tool", "content": "21 °C", "tool_call_id": "c1", "tool_name": "f"},
    ]
    assert body["tools"][0]["function"]["name"] == "f"


def test_options_have_its_names() -> None:
    body = native(
        temperature=0, top_p=0.5, top_k=3, seed=7, stop="x", max_completion_tokens=5, user="u"
    )
    assert body["options"] == {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 7,
        "stop": ["x"],
        "num_predict": 5,
        "num_ctx": 4096,
    }
    assert "user" not in body


def test_forms_and_thinking_have_its_names() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert native(response_format=form)["format"] == schema
    assert native(response_format={"type": "json_object"})["format"] == "json"
    assert "format" not in native(response_format={"type": "text"})
    assert native(reasoning_effort="high")["think"] is True
    assert native(reasoning_effort="none")["think"] is False
    assert native(chat_template_kwargs={"enable_thinking": False})["think"] is False
    asked = ollama_asked.read(CHAT, raw(messages=HELLO, reasoning_effort="high"), "t", levels=True)
    assert asked.body["think"] == "high"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"5": 1}),
        ("tool_choice", "required"),
        ("functions", [{"name": "f"}]),
        ("web_search_options", {}),
        ("truncate", True),
        ("shift", True),
        ("max_tokens", "5"),
        ("max_tokens", 5.5),
        ("max_completion_tokens", True),
        ("response_format", {"type": "grammar"}),
        ("messages", []),
        ("messages", [{"role": "user", "content": [{"type": "input_audio"}]}]),
        (
            "messages",
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}],
                }
            ],
        ),
    ],
)
def test_what_it_would_pass_over_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as error:
        native(**{field: value})
    assert (error.value.param or "").startswith(field)


@pytest.mark.parametrize(
    ("field", "value"), [("n", 1), ("logit_bias", {}), ("tool_choice", "auto"), ("user", "me")]
)
def test_what_asks_for_nothing_is_passed_over(field: str, value: Any) -> None:
    assert field not in native(**{field: value})


def test_noibos_word_goes_before_what_a_caller_says_besides() -> None:
    body = native(COMPLETION, prompt="a", raw=False, shift=False, its_own=1)
    assert (body["raw"], body["shift"], body["its_own"]) == (True, False, 1)
    form = {"type": "json_object"}
    assert native(response_format=form, format={"type": "string"})["format"] == "json"


@pytest.mark.parametrize("prompt", [[1, 2], ["a", "b"], 5])
def test_a_prompt_is_one_text(prompt: Any) -> None:
    with pytest.raises(InvalidRequest, match="prompt"):
        native(COMPLETION, prompt=prompt)


def test_calls_beyond_the_first_are_left_out_where_only_one_is_wanted() -> None:
    asked = ollama_asked.read(
        CHAT, raw(messages=HELLO, stream=True, parallel_tool_calls=False), "t", levels=False
    )
    lines = Lines(Teller(asked, "t", 4096))
    call = {"function": {"name": "f", "arguments": {}}}
    line = {"message": {"tool_calls": [call, call]}, "done": True}
    told = lines.feed(json.dumps(line).encode() + b"\n") + lines.end()
    assert len(assembled(told)["choices"][0]["message"]["tool_calls"]) == 1


def test_lines_that_are_no_json_are_its_failure() -> None:
    asked = ollama_asked.read(CHAT, raw(messages=HELLO, stream=True), "t", levels=False)
    with pytest.raises(EngineError, match="not understood"):
        Lines(Teller(asked, "t", 4096)).feed(b"<html>\n")


def test_what_was_said_before_a_line_that_is_no_json_is_told() -> None:
    asked = ollama_asked.read(CHAT, raw(messages=HELLO, stream=True), "t", levels=False)
    lines, good = Lines(Teller(asked, "t", 4096)), b'{"message": {"content": "Hi"}}\n'
    (event,) = events(lines.feed(good + b"<html>\n" + good))
    assert event["choices"][0]["delta"]["content"] == "Hi"
    with pytest.raises(EngineError, match="not understood"):
        lines.end()


@pytest.mark.parametrize(
    ("name", "other"), [("a", "a:latest"), ("x/a", "x/a:latest"), ("a:7b", "a:7b")]
)
def test_a_name_without_a_tag_is_latest(name: str, other: str) -> None:
    assert full(name) == other


def test_facts_are_read_of_what_it_shows() -> None:
    facts = Facts.of(as_json("version.json"), as_json("show.json"), {}, "llama3")
    assert (facts.version, facts.trained, facts.levels) == ((0, 33, 1), 8192, False)
    shown = {"parameters": "num_ctx   16384\nstop x", "thinking": {"values": ["low", "high"]}}
    assert Facts.of({}, shown, {}, "a").num_ctx == 16384
    assert Facts.of({}, shown, {}, "a").levels
    assert version_of({"version": "0.0.0"}) > (9, 9, 9)
