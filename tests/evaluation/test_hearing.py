"""Streams as servers really write them, and as they should not."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from noibo.evaluation.answer import Answer, Kind
from noibo.evaluation.calling import kind_of
from noibo.evaluation.hearing import Failed, Hearing, refusal

END = b"data: [DONE]\n\n"


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    said = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": choices, **more}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def heard(*chunks: bytes, most: int = 10) -> Answer:
    """The answer of chunks that come a second apart, from moment 1 on; it was asked at moment 0."""
    hearing = Hearing(0.0, most)
    for moment, chunk in enumerate(chunks, 1):
        hearing.feed(chunk, float(moment))
    return hearing.end(float(len(chunks) + 1))


def failed(*chunks: bytes, most: int = 10) -> Failed:
    with pytest.raises(Failed) as caught:
        heard(*chunks, most=most)
    return caught.value


ROLE = event({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 4}}


def test_an_answer_is_timed_from_its_first_word_not_from_who_speaks() -> None:
    answer = heard(
        ROLE,
        event({"content": "a"}),
        event({"content": "b c"}),
        event({}, "length"),
        event(None, usage=USAGE),
        END,
    )
    assert (answer.first_s, answer.said_s, answer.latency_s) == (2.0, 2.0, 7.0)
    assert (answer.tokens, answer.by_usage, len(answer.pieces)) == (6, True, 2)
    assert (answer.prompt_tokens, answer.cached_tokens) == (9, 4)
    assert (answer.finish, answer.model) == ("length", "m")
    assert answer.between_s == pytest.approx(1 / 5)
    assert answer.tokens_until(2.5) == 3.0


def test_without_usage_pieces_are_counted_and_that_is_known() -> None:
    answer = heard(event({"content": "a"}), event({"content": "b"}), event({}, "stop"), END)
    assert (answer.tokens, answer.by_usage, answer.prompt_tokens) == (2, False, None)


def test_usage_in_every_event_is_the_last_one() -> None:
    """As vLLM says it with continuous_usage_stats."""
    chunks = [event({"content": "a"}, usage={"completion_tokens": n}) for n in (1, 2, 3)]
    assert heard(*chunks, event({}, "stop", usage=None), END).tokens == 3


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thought_is_the_first_token_and_the_answer_is_told_apart(name: str) -> None:
    answer = heard(ROLE, event({name: "hm"}), event({name: "so"}), event({"content": "a"}), END)
    assert (answer.first_s, answer.said_s, answer.thought) == (2.0, 4.0, True)


def test_thoughts_that_a_server_keeps_to_itself_are_no_tokens_of_the_stream() -> None:
    usage = {"completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 48}}
    kept = heard(event({"content": "a"}), event({"content": "b"}), event(None, usage=usage), END)
    assert (kept.tokens, kept.billed) == (2, 50)
    shown = heard(event({"reasoning": "a"}), event({"content": "b"}), event(None, usage=usage), END)
    assert (shown.tokens, shown.billed) == (50, 50)


def test_a_tool_call_is_an_answer() -> None:
    call = [{"index": 0, "function": {"name": "f", "arguments": ""}}]
    assert heard(event({"tool_calls": call}), event({}, "tool_calls"), END).said_s == 1.0


def test_comments_are_no_tokens() -> None:
    assert heard(b": queue 3\n\n", b": alive\n\n", event({"content": "a"}), END).first_s == 3.0


def test_events_may_be_cut_anywhere() -> None:
    whole = event({"content": "ạ"}) + event({}, "stop") + END
    answer = heard(*(whole[at : at + 1] for at in range(len(whole))))
    assert answer.tokens == 1


def test_a_stream_without_the_end_mark_is_whole_if_it_said_why_it_ended() -> None:
    assert heard(event({"content": "a"}), event({}, "stop")).tokens == 1
    assert failed(event({"content": "a"})).kind is Kind.BROKE_OFF


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        (b"data: {not json}\n\n", Kind.GARBAGE),
        (b'data: {"choices": 7}\n\n', Kind.GARBAGE),
        (b"data: \xff\xfe\n\n", Kind.GARBAGE),
        (b'data: {"error": {"message": "out of memory"}}\n\n', Kind.TOLD),
        (END, Kind.EMPTY),
        (b"<html>welcome</html>", Kind.BROKE_OFF),
    ],
)
def test_what_is_no_answer_has_its_kind(chunk: bytes, kind: Kind) -> None:
    assert failed(chunk).kind is kind


def test_an_answer_without_end_is_ended() -> None:
    endless = [event({"content": "a"})] * 2000
    assert "no end" in str(failed(*endless, most=10))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.BAD_REQUEST),
        (401, Kind.REFUSED),
        (403, Kind.REFUSED),
        (404, Kind.NOT_FOUND),
        (422, Kind.BAD_REQUEST),
        (429, Kind.TOO_MANY),
        (302, Kind.MOVED),
        (500, Kind.SERVER),
        (503, Kind.SERVER),
    ],
)
def test_a_refusal_has_its_kind(status: int, kind: Kind) -> None:
    assert refusal(status, b"").kind is kind


def test_a_refusal_says_what_the_server_said_and_no_more_than_a_line_of_it() -> None:
    said = refusal(429, b'{"error": {"message": "slow\\ndown"}}', "7")
    assert (said.said, said.retry_after_s) == ("HTTP 429: slow down", 7.0)
    assert refusal(500, b'{"detail": "x"}').said == "HTTP 500: x"
    assert len(refusal(500, b"<html>" * 1000).said) < 230
    assert refusal(503, b"[1]", "Mon").retry_after_s is None


def test_a_key_is_hidden_before_a_line_of_it_is_cut() -> None:
    key, long = "sk-hunter2-and-more", "x" * 190
    said = refusal(401, json.dumps({"error": {"message": f"{long} {key}"}}).encode(), key=key).said
    assert said == f"HTTP 401: {long} …"
    assert refusal(500, f"{long}{key}".encode(), key=key).said == f"HTTP 500: {long}…"
    for chunk in (event(error={"message": key}), b"data: no " + key.encode() + b"\n\n"):
        hearing = Hearing(0.0, 10, key)
        with pytest.raises(Failed) as caught:
            hearing.feed(chunk, 1.0)
        assert str(caught.value).removeprefix("no ") == "…"


def test_what_a_server_calls_itself_and_its_end_is_hidden_and_cut() -> None:
    hearing = Hearing(0.0, 10, "sk-hunter2")
    said = event({"content": "a"}, "sk-hunter2" + "y" * 10**6, model="sk-hunter2\x1b" + "m" * 10**6)
    hearing.feed(said + END, 1.0)
    answer = hearing.end(2.0)
    assert answer.finish == "…" + "y" * 39
    assert answer.model.startswith(r"…\x1bmmm")
    assert len(answer.model) < 250


@pytest.mark.parametrize("count", [-1, 2**31 + 1, 10**40, "1" * 5000])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "prompt_tokens_details"])
def test_counts_that_cannot_be_are_not_understood(name: str, count: object) -> None:
    counted = {"cached_tokens": count} if name.endswith("details") else count
    chunk = event({"content": "a"}, usage={name: counted})
    assert failed(chunk, END).kind is Kind.GARBAGE


def test_what_a_server_says_cannot_drive_the_terminal() -> None:
    said = refusal(500, b'{"error": {"message": "\\u001b]0;owned\\u0007 \\u202eno"}}').said
    assert said == r"HTTP 500: \x1b]0;owned\x07 \u202eno"
    assert "\x1b" not in str(failed(b"data: \x1b[2Jno\n\n"))


def test_every_fault_of_the_http_client_has_a_kind_of_its_own() -> None:
    """Only what came and was no HTTP is not understood, and an address that is none."""

    def below(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    faults = {one for one in below(aiohttp.ClientError) if one.__module__.startswith("aiohttp.")}
    assert len(faults) > 20
    not_understood = {one for one in faults if kind_of(one.__new__(one)) is Kind.GARBAGE}
    assert all(issubclass(one, aiohttp.ClientResponseError | ValueError) for one in not_understood)
    assert kind_of(TimeoutError()) is Kind.SILENT
    assert kind_of(ConnectionResetError()) is Kind.BROKE_OFF
