"""The real model through the official OpenAI client."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

import openai
import pytest

from tests.running import RunningServer

MODEL = "smollm2:135m"
ASK = [{"role": "user", "content": "Name three colours of the rainbow."}]


@pytest.fixture
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real_server.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def said(client: openai.OpenAI, **fields: object) -> str:
    fields = {"model": MODEL, "messages": ASK, "max_tokens": 24, "temperature": 0} | fields
    answer = client.chat.completions.create(**fields)  # type: ignore[call-overload]
    return answer.choices[0].message.content


def streamed(client: openai.OpenAI, **fields: object) -> str:
    fields = {"model": MODEL, "messages": ASK, "max_tokens": 24, "temperature": 0} | fields
    events = client.chat.completions.create(stream=True, **fields)  # type: ignore[call-overload]
    return "".join(event.choices[0].delta.content or "" for event in events if event.choices)


def test_the_model_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=40, temperature=0)
    assert answer.model == MODEL
    assert "color" in (answer.choices[0].message.content or "").lower().replace("colour", "color")
    assert answer.choices[0].finish_reason in {"stop", "length"}


def test_temperature_zero_gives_the_same_answer_every_time(client: openai.OpenAI) -> None:
    assert len({said(client) for _ in range(4)}) == 1


def test_a_seed_gives_the_same_answer_and_another_seed_another(client: openai.OpenAI) -> None:
    def drawn(seed: int) -> str:
        return said(client, temperature=1.5, seed=seed, max_tokens=32)

    drawn(7)  # the prompt is in the cache from here on, for both sides alike
    assert drawn(7) == drawn(7)
    assert len({drawn(seed) for seed in (7, 8, 9)}) > 1


def test_streamed_text_equals_unstreamed(client: openai.OpenAI) -> None:
    said(client)  # the prompt is in the cache from here on, for both sides alike
    assert streamed(client) == said(client)
    assert streamed(client, seed=5, temperature=1.2) == said(client, seed=5, temperature=1.2)


def test_a_stop_sequence_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    whole = said(client, max_tokens=40)
    word = whole.split()[3]
    cut = said(client, max_tokens=40, stop=[word])
    assert whole.startswith(cut)
    assert word not in cut
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=40, temperature=0, stop=[word]
    )
    assert answer.choices[0].finish_reason == "stop"


def test_text_completions_continue_a_text(client: openai.OpenAI) -> None:
    fields = {"model": MODEL, "prompt": "The sky is", "max_tokens": 8, "temperature": 0}
    whole = client.completions.create(**fields)  # type: ignore[call-overload]
    events = client.completions.create(stream=True, **fields)  # type: ignore[call-overload]
    assert whole.choices[0].text
    assert whole.choices[0].text == "".join(e.choices[0].text for e in events if e.choices)
    assert whole.object == "text_completion"


def test_usage_is_the_same_streamed_and_not(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=9, temperature=0)
    events = client.chat.completions.create(
        model=MODEL,
        messages=ASK,
        max_tokens=9,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    usage = [event.usage for event in events if event.usage]
    assert len(usage) == 1
    assert whole.usage is not None
    assert whole.usage.completion_tokens == usage[0].completion_tokens == 9
    assert whole.usage.prompt_tokens == usage[0].prompt_tokens


def test_usage_is_not_streamed_unasked(client: openai.OpenAI) -> None:
    events = client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=3, temperature=0, stream=True
    )
    assert all(event.usage is None and event.choices for event in events)


def test_progress_reports_do_not_reach_who_did_not_ask(client: openai.OpenAI) -> None:
    long = [{"role": "user", "content": "word " * 300}]
    events = list(
        client.chat.completions.create(
            model=MODEL, messages=long, max_tokens=2, stream=True, temperature=0
        )
    )
    assert not any("prompt_progress" in (event.model_extra or {}) for event in events)
    asked = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "other " * 300}],
        max_tokens=2,
        stream=True,
        temperature=0,
        extra_body={"return_progress": True},
    )
    assert any("prompt_progress" in (event.model_extra or {}) for event in asked)


def test_log_probabilities_come_through(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=5, temperature=0, logprobs=True, top_logprobs=2
    )
    rows = answer.choices[0].logprobs
    assert rows is not None
    assert rows.content is not None
    assert len(rows.content) == 5
    assert all(row.logprob <= 0 and len(row.top_logprobs) == 2 for row in rows.content)


def test_a_json_schema_is_kept_to(client: openai.OpenAI) -> None:
    import json

    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL,
        messages=ASK,
        max_tokens=60,
        temperature=0,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "c", "schema": schema, "strict": True},
        },
    )
    assert json.loads(answer.choices[0].message.content or "")["colour"] in {"red", "blue"}


@pytest.mark.heavy
def test_sixteen_streams_at_once_are_each_whole_and_their_own(client: openai.OpenAI) -> None:
    def count(i: int) -> tuple[str, str | None]:
        events = client.completions.create(
            model=MODEL,
            prompt=f"{i} is the number {i}. {i} is the number",
            max_tokens=12,
            temperature=0,
            stream=True,
        )
        text, reason = "", None
        for event in events:
            text += event.choices[0].text
            reason = event.choices[0].finish_reason or reason
        return text, reason

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(count, range(100, 116)))
    assert all(reason in {"length", "stop"} for _, reason in answers)
    assert sum(str(i) in text for i, (text, _) in zip(range(100, 116), answers, strict=True)) >= 12


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve("smollm2").id == MODEL


def test_no_model_named_is_the_default_model(client: openai.OpenAI) -> None:
    assert said(client, model="") == said(client)


def test_an_unknown_model_is_a_404_with_the_nearest(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        said(client, model="smolm2:135m")
    assert caught.value.code == "model_not_found"
    assert "Did you mean smollm2:135m?" in str(caught.value)


def test_a_prompt_over_the_window_is_refused_with_openais_code(client: openai.OpenAI) -> None:
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model=MODEL, prompt="word " * 3000, stream=stream)
        assert caught.value.code == "context_length_exceeded"


def test_a_bad_field_is_refused_and_not_a_500(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        said(client, messages="not a list")
    with pytest.raises(openai.BadRequestError) as caught:
        said(client, stream="perhaps")
    assert caught.value.param == "stream"


def test_the_async_client_works_too(real_server: RunningServer) -> None:
    import asyncio

    async def ask() -> str | None:
        async with openai.AsyncOpenAI(base_url=real_server.url + "/v1", api_key="x") as client:
            answer = await client.chat.completions.create(
                model=MODEL, messages=ASK, max_tokens=3, temperature=0
            )
            return answer.choices[0].message.content

    assert asyncio.run(ask())
