"""`echo` with `logprobs`, as OpenAI's client asks for it, of a real server with a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion
from openai.types.completion_choice import Logprobs

from tests.running import RunningServer, until

MODEL = "smollm2:135m"
ENGLISH = "The capital of France is Paris."
VIETNAMESE = "Hà Nội là thủ đô của Việt Nam."


@pytest.fixture(scope="module")
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real_server.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def echoed(client: openai.OpenAI, prompt: Any, **more: Any) -> Completion:
    asked: dict[str, Any] = {"model": MODEL, "echo": True, "logprobs": 1, "max_tokens": 0}
    found: Completion = client.completions.create(prompt=prompt, **(asked | more))
    return found


def logprobs(completion: Completion, choice: int = 0) -> Logprobs:
    found = completion.choices[choice].logprobs
    assert found is not None
    return found


def tokens_of(real_server: RunningServer, text: str) -> list[int]:
    asked = {"model": MODEL, "content": text, "add_special": True}
    found = httpx2.post(real_server.url + "/tokenize", json=asked, timeout=60)
    tokens: list[int] = found.json()["tokens"]
    return tokens


def test_a_prompt_comes_back_with_the_chance_of_each_of_its_tokens(client: openai.OpenAI) -> None:
    found = echoed(client, ENGLISH, logprobs=5)
    said = logprobs(found)
    assert found.choices[0].text == ENGLISH == "".join(said.tokens)
    assert found.choices[0].finish_reason == "length"
    assert said.text_offset == [ENGLISH.index(token) for token in said.tokens]
    assert said.token_logprobs[0] is None
    assert said.top_logprobs[0] is None
    for token, chance, top in zip(
        said.tokens[1:], said.token_logprobs[1:], said.top_logprobs[1:], strict=True
    ):
        assert chance < 0
        assert top[token] == chance
        assert len(top) in {5, 6}
        assert sorted(top.values(), reverse=True)[:5] == list(top.values())[:5]
    assert found.usage.prompt_tokens == found.usage.total_tokens == len(said.tokens)
    assert found.usage.completion_tokens == 0


def test_parts_of_characters_have_words_and_the_place_of_the_character(
    client: openai.OpenAI,
) -> None:
    said = logprobs(echoed(client, VIETNAMESE))
    parts = [token for token in said.tokens if token.startswith("bytes:")]
    assert parts
    assert all(part.startswith("bytes:\\x") for part in parts)
    for token, offset in zip(said.tokens, said.text_offset, strict=True):
        if not token.startswith("bytes:"):
            assert VIETNAMESE[offset:].startswith(token)
    assert said.text_offset == sorted(said.text_offset)


def test_texts_and_token_ids_alone_and_in_lists_are_scored_alike(
    client: openai.OpenAI, real_server: RunningServer
) -> None:
    ids = [tokens_of(real_server, text) for text in (ENGLISH, VIETNAMESE)]
    texts = echoed(client, [ENGLISH, VIETNAMESE])
    lists = echoed(client, ids)
    alone = echoed(client, ids[1])
    assert [choice.index for choice in texts.choices] == [0, 1]
    assert [choice.text for choice in texts.choices] == [ENGLISH, VIETNAMESE]
    for number in (0, 1):
        assert lists.choices[number].text == texts.choices[number].text
        assert logprobs(lists, number).tokens == logprobs(texts, number).tokens
        assert logprobs(lists, number).text_offset == logprobs(texts, number).text_offset
        assert logprobs(lists, number).token_logprobs[1:] == pytest.approx(
            logprobs(texts, number).token_logprobs[1:], abs=1e-4
        )
    assert logprobs(alone).token_logprobs[1:] == pytest.approx(
        logprobs(texts, 1).token_logprobs[1:], abs=1e-4
    )
    assert texts.usage.prompt_tokens == sum(map(len, ids))


def test_the_likeliest_next_token_follows_as_harnesses_ask(client: openai.OpenAI) -> None:
    found = echoed(client, ENGLISH, max_tokens=1, temperature=0, seed=1234)
    said = logprobs(found)
    plain = client.completions.create(
        model=MODEL, prompt=ENGLISH, max_tokens=1, temperature=0, logprobs=1
    )
    assert found.choices[0].text == ENGLISH + plain.choices[0].text
    assert said.tokens[-1] == plain.choices[0].text
    assert said.text_offset[-1] == len(ENGLISH)
    assert said.token_logprobs[-1] == max(said.top_logprobs[-1].values())
    assert said.token_logprobs[-1] == pytest.approx(
        logprobs(plain).token_logprobs[0], abs=5e-4
    )  # llama.cpp's own sum in 32 bits
    assert found.usage.completion_tokens == 1


def test_a_stop_text_ends_it(client: openai.OpenAI) -> None:
    prompt = "One, two, three, four, five, six, seven,"
    asked = {"max_tokens": 1, "temperature": 0}
    assert echoed(client, prompt, **asked).choices[0].text == prompt + " eight"
    found = echoed(client, prompt, **asked, stop=["gh"])
    assert found.choices[0].text == prompt + " ei"
    assert found.choices[0].finish_reason == "stop"
    assert logprobs(found).tokens[-1] == " eight"


def test_what_is_written_after_it_has_its_chances_too(client: openai.OpenAI) -> None:
    found = echoed(client, ENGLISH, max_tokens=4, temperature=0, logprobs=2)
    scored = logprobs(echoed(client, ENGLISH, logprobs=2))
    plain = client.completions.create(model=MODEL, prompt=ENGLISH, max_tokens=4, temperature=0)
    said, length = logprobs(found), len(scored.tokens)
    assert found.choices[0].text == ENGLISH + plain.choices[0].text
    assert said.tokens[:length] == scored.tokens
    assert "".join(said.tokens[length:]) == plain.choices[0].text
    assert len(said.tokens) == len(said.token_logprobs) == len(said.top_logprobs) == length + 4
    assert said.text_offset[length] == len(ENGLISH)
    assert found.usage.prompt_tokens == length
    assert found.usage.completion_tokens == 4


def test_fields_that_change_what_is_written_hold_after_an_echo(client: openai.OpenAI) -> None:
    (likeliest,) = logprobs(echoed(client, ENGLISH, max_tokens=1, temperature=0)).tokens[-1:]
    biased = {"logit_bias": {"28": 100}, "max_tokens": 1, "temperature": 0}  # 28 is a comma
    found = echoed(client, ENGLISH, **biased)
    assert found.choices[0].text == ENGLISH + ","
    assert likeliest != ","
    two = echoed(client, ENGLISH, max_tokens=3, n=2, seed=7, temperature=1.5)
    assert [choice.index for choice in two.choices] == [0, 1]
    assert all(choice.text.startswith(ENGLISH) for choice in two.choices)
    assert logprobs(two, 0).token_logprobs[1] == logprobs(two, 1).token_logprobs[1]
    copies = echoed(client, [ENGLISH, VIETNAMESE], n=2)
    assert [choice.text for choice in copies.choices] == [ENGLISH] * 2 + [VIETNAMESE] * 2


def test_greediness_can_be_told_from_the_answer(client: openai.OpenAI) -> None:
    """As lm-eval does it: a token is greedy if no other is likelier in its place."""
    prompt = "One, two, three, four, five, six, seven,"
    for word, greedy in ((" eight", True), (" nine", False)):
        said = logprobs(echoed(client, prompt + word))
        assert (said.token_logprobs[-1] == max(said.top_logprobs[-1].values())) is greedy


def test_an_echo_can_be_streamed(client: openai.OpenAI) -> None:
    whole = echoed(client, [ENGLISH, VIETNAMESE])
    stream = client.completions.create(
        model=MODEL,
        prompt=[ENGLISH, VIETNAMESE],
        echo=True,
        logprobs=1,
        max_tokens=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    assert [chunk.choices[0].text for chunk in chunks] == [ENGLISH, VIETNAMESE]
    for chunk, choice in zip(chunks, whole.choices, strict=True):
        assert chunk.choices[0].logprobs.tokens == choice.logprobs.tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert last.choices == []


def test_vllms_prompt_logprobs(client: openai.OpenAI, real_server: RunningServer) -> None:
    found = client.completions.create(
        model=MODEL,
        prompt=ENGLISH,
        max_tokens=1,
        temperature=0,
        extra_body={"prompt_logprobs": 2},
    ).to_dict()
    rows = found["choices"][0]["prompt_logprobs"]
    said = logprobs(echoed(client, ENGLISH, logprobs=2))
    ids = tokens_of(real_server, ENGLISH)
    assert rows[0] is None
    more = echoed(client, ENGLISH, max_tokens=1, temperature=0).choices[0].text
    assert ENGLISH + found["choices"][0]["text"] == more
    for token, row, chance in zip(ids[1:], rows[1:], said.token_logprobs[1:], strict=True):
        assert row[str(token)]["logprob"] == pytest.approx(chance, abs=1e-4)
        ranks = [one["rank"] for one in row.values()]
        assert {1, 2} <= set(ranks)
        assert len(row) == (2 if row[str(token)]["rank"] <= 2 else 3)
    with pytest.raises(openai.BadRequestError, match="prompt_logprobs"):
        client.completions.create(
            model=MODEL, prompt=ENGLISH, max_tokens=9, extra_body={"prompt_logprobs": 2}
        )


@pytest.mark.parametrize(
    ("prompt", "more", "named"),
    [
        (ENGLISH, {"logprobs": 6}, "logprobs"),
        (ENGLISH, {"logprobs": -1}, "logprobs"),
        (ENGLISH, {"max_tokens": -1}, "max_tokens"),
        (ENGLISH, {"suffix": "."}, "suffix"),
        ([1, -1], {}, "prompt"),
        ([1, 49152], {}, "prompt"),
        ([[1], [2**40]], {}, "prompt"),
        ("", {}, "prompt"),
        ([ENGLISH, ""], {}, "prompt"),
        ([ENGLISH, 1], {}, "prompt"),
        ([[], [1]], {}, "prompt"),
        (ENGLISH, {"extra_body": {"prompt_logprobs": 21}}, "prompt_logprobs"),
        (ENGLISH, {"extra_body": {"add_special_tokens": False}}, "add_special_tokens"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(
    client: openai.OpenAI, prompt: Any, more: dict[str, Any], named: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        echoed(client, prompt, **more)
    assert caught.value.param == named
    assert logprobs(echoed(client, ENGLISH)).tokens  # and the worker lives


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(
    client: openai.OpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        echoed(client, [28] * 2049)
    assert caught.value.code == "context_length_exceeded"
    assert "2049" in caught.value.message
    assert "2048" in caught.value.message


def test_an_engine_that_cannot_score_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        echoed(client, ENGLISH, model="echo")
    assert caught.value.status_code == 501


def test_a_hang_up_frees_the_scoring_worker(real_server: RunningServer) -> None:
    asked = {"model": MODEL, "echo": True, "logprobs": 1, "max_tokens": 0}
    many = [[1000 + i, *range(2000, 3500)] for i in range(8)]
    with (
        pytest.raises(httpx2.TimeoutException),
        httpx2.Client(timeout=httpx2.Timeout(30, read=1.0)) as client,
    ):
        client.post(real_server.url + "/v1/completions", json={**asked, "prompt": many})
    with real_server.client() as ours:
        until(
            lambda: all(not row.requests for row in ours.workers() if row.verb == "score"),
            "the scoring worker is free",
        )
    found = httpx2.post(
        real_server.url + "/v1/completions", json={**asked, "prompt": ENGLISH}, timeout=60
    )
    assert json.loads(found.content)["choices"][0]["text"] == ENGLISH


def test_more_than_an_answer_can_hold_is_refused_with_both_numbers(client: openai.OpenAI) -> None:
    """Before anything is scored: 90 prompts of 2,048 tokens would take minutes."""
    prompts = [list(range(1000, 3048))] * 90
    with pytest.raises(openai.BadRequestError) as caught:
        echoed(client, prompts, logprobs=5)
    assert caught.value.param == "prompt"
    assert f"{90 * 2048:,} tokens" in caught.value.message
    assert f"{90 * 2048 * 6:,}" in caught.value.message
    assert "1,048,576" in caught.value.message
    for more in ({"n": 128}, {"n": 128, "max_tokens": 5}, {"best_of": 20, "n": 20, "logprobs": 5}):
        with pytest.raises(openai.BadRequestError, match="at most 1,048,576"):
            echoed(client, prompts[:5], **more)
    with pytest.raises(openai.BadRequestError, match="at most 1,048,576"):
        echoed(client, prompts[:30], extra_body={"prompt_logprobs": 20}, max_tokens=0)


@pytest.mark.heavy
def test_a_long_answer_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    prompt = list(range(1000, 1200))
    whole = echoed(client, prompt, logprobs=5, n=2)
    stream = client.completions.create(
        model=MODEL, prompt=prompt, echo=True, logprobs=5, max_tokens=0, n=2, stream=True
    )
    for chunk, choice in zip(list(stream), whole.choices, strict=True):
        assert chunk.choices[0] == choice
        assert len(choice.logprobs.tokens) == 200
