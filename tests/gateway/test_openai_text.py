"""What each field of a text completion does to the real model's answer, through the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.openai_calls import MODEL, pieces, refused, text
from tests.running import RunningServer


@pytest.fixture
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    url = real_server.url + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=170) as made:
        yield made


def test_each_prompt_of_a_list_is_continued(client: openai.OpenAI) -> None:
    prompts = ["The sky is", "One two three", "A dog"]
    answer = text(client, prompt=prompts, echo=True, n=2, temperature=1, seed=4)
    assert [choice.index for choice in answer.choices] == list(range(6))
    for choice in answer.choices:
        assert choice.text.startswith(prompts[choice.index // 2])
        assert len(choice.text) > len(prompts[choice.index // 2])
    alone = [text(client, prompt=prompt, max_tokens=1).usage for prompt in prompts]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(one.prompt_tokens for one in alone if one)
    assert answer.usage.completion_tokens == 18


def test_token_ids_are_continued_and_echoed_as_text(
    client: openai.OpenAI, real_server: RunningServer
) -> None:
    body = {"model": MODEL, "content": "The sky is"}
    ids = httpx2.post(real_server.url + "/tokenize", json=body).json()["tokens"]
    whole = text(client, prompt=ids, echo=True)
    assert whole.choices[0].text == "The sky is" + text(client).choices[0].text
    several: Any = [ids, ids[:2]]
    answer = text(client, prompt=several, echo=True)
    assert [choice.text[:7] for choice in answer.choices] == ["The sky", "The sky"]


def test_a_stream_is_the_same_text_with_its_usage_last(client: openai.OpenAI) -> None:
    whole = text(client, echo=True)
    events = pieces(client, echo=True, stream_options={"include_usage": True})
    assert "".join(e.choices[0].text for e in events if e.choices) == whole.choices[0].text
    assert events[-1].choices == []
    told, usage = events[-1].usage, whole.usage
    assert told is not None
    assert usage is not None
    assert (told.prompt_tokens, told.completion_tokens) == (usage.prompt_tokens, 3)
    assert all(event.usage is None for event in events[:-1])
    assert events[-2].choices[0].finish_reason == "length"
    assert all(event.choices and event.usage is None for event in pieces(client))


def test_log_probabilities_have_the_old_shape(client: openai.OpenAI) -> None:
    choice = text(client, logprobs=2).choices[0]
    told = choice.logprobs
    assert told is not None
    assert told.tokens is not None
    assert "".join(told.tokens) == choice.text
    assert len(told.token_logprobs or []) == len(told.top_logprobs or []) == 3
    for place, token in zip(told.text_offset or [], told.tokens, strict=True):
        assert choice.text[place:].startswith(token)
    for likely, token in zip(told.top_logprobs or [], told.tokens, strict=True):
        assert token in likely
        assert 2 <= len(likely) <= 3
    events = pieces(client, logprobs=2)
    parts = [event.choices[0].logprobs for event in events if event.choices[0].logprobs]
    assert [token for part in parts for token in part.tokens or []] == told.tokens
    assert [at for part in parts for at in part.text_offset or []] == told.text_offset
    none = text(client, logprobs=0).choices[0].logprobs
    assert none is not None
    assert all(len(likely) == 1 for likely in none.top_logprobs or [])


def test_the_best_of_several_is_shown(client: openai.OpenAI) -> None:
    answer = text(client, best_of=3, n=1, temperature=1.5, seed=2, logprobs=1)
    assert len(answer.choices) == 1
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9  # of all three
    drawn = text(client, n=3, temperature=1.5, seed=2, logprobs=1)

    def mean(choice: Any) -> float:
        rows = choice.logprobs.token_logprobs
        return float(sum(rows) / len(rows))

    assert mean(answer.choices[0]) >= max(map(mean, drawn.choices)) - 0.05


def test_nothing_is_written_where_nothing_is_wanted(client: openai.OpenAI) -> None:
    answer = text(client, max_tokens=0, echo=True)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("The sky is", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_a_gap_is_for_models_that_were_trained_to_fill_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        text(client, suffix=" the end")
    assert refused(caught.value, "suffix")


def test_a_gap_is_filled_streamed_and_not(small_server: RunningServer) -> None:
    url = small_server.url + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "fills", "prompt": "ab", "suffix": "yz", "max_tokens": 6}
        asked |= {"extra_body": {"grammar": "root ::= [a-z]+"}, "seed": 1}
        whole = text(client, n=2, echo=True, **asked)
        assert [choice.index for choice in whole.choices] == [0, 1]
        for choice in whole.choices:
            assert choice.text.startswith("ab")
            assert choice.text.isalpha()
            assert (len(choice.text), choice.finish_reason) == (8, "length")
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 12
        told_of = text(client, logprobs=1, **asked).choices[0]
        assert told_of.logprobs is not None
        assert "".join(told_of.logprobs.tokens or []) == told_of.text
        assert whole.usage.prompt_tokens > len("ab" + "yz")  # and the marks of the gap
        told = pieces(client, stream_options={"include_usage": True}, **asked)
        assert (
            "".join(e.choices[0].text for e in told if e.choices)
            == text(client, **asked).choices[0].text
        )
        assert told[-1].usage is not None
        assert told[-1].usage.completion_tokens == 6


@pytest.mark.parametrize("model", ["fills", "fills-otherwise"])
def test_nothing_of_what_stands_round_a_gap_is_cut(small_server: RunningServer, model: str) -> None:
    with openai.OpenAI(base_url=small_server.url + "/v1", api_key="x", max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "max_tokens": 1}
        found = text(client, prompt="p" * 150, suffix="s" * 60, **asked)
        assert found.usage is not None
        assert 150 + 60 + 3 <= found.usage.prompt_tokens <= 150 + 60 + 6  # and what begins a text
        with pytest.raises(openai.BadRequestError) as caught:
            text(client, prompt="p" * 200, suffix="s" * 60, **asked)
        assert caught.value.code == "context_length_exceeded"
        several = text(client, prompt=["ab", "c"], suffix="yz", echo=True, **asked)
        assert [choice.text[:1] for choice in several.choices] == ["a", "c"]
        with pytest.raises(openai.BadRequestError) as caught:
            text(client, prompt=[5, 6], suffix="s", **asked)
        assert refused(caught.value, "suffix")


def test_more_choices_than_slots_do_not_wait_for_each_other(server: RunningServer) -> None:
    async def ask(base: str) -> list[Any]:
        async with openai.AsyncOpenAI(base_url=base, api_key="x", max_retries=0) as client:
            return await asyncio.gather(
                *(
                    client.completions.create(model="echo", prompt=f"a b {place}", n=7)
                    for place in range(5)
                )
            )

    for place, answer in enumerate(asyncio.run(ask(server.url + "/v1"))):
        assert [choice.text for choice in answer.choices] == [f"a b {place}"] * 7
        assert [choice.index for choice in answer.choices] == list(range(7))
        assert answer.usage.completion_tokens == 21


def test_one_choice_that_fails_fails_the_answer(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": ["a", "b"], "x_echo": {"status": 418}}
    answer = httpx2.post(server.url + "/v1/completions", json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["message"]) == (418, "scripted failure")
    cut = body | {"x_echo": {"text": "a b c", "cut_after": 1}, "stream": True}
    said = httpx2.post(server.url + "/v1/completions", json=cut, timeout=60).text
    assert '"error"' in said
    assert "[DONE]" not in said


def test_a_stream_of_several_has_one_end(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "a b", "n": 5, "stream": True}
    said = httpx2.post(server.url + "/v1/completions", json=body, timeout=60).text
    assert said.count("[DONE]") == 1
    assert said.endswith("data: [DONE]\n\n")
    assert said.count('"finish_reason":"stop"') == 5
