"""OpenAI's responses through the official client: streamed and not, kept, built upon."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pydantic
import pytest
import sqlalchemy as sa
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from noibo.assembly import open_database
from noibo.database.schema import response_items, responses
from noibo.settings import load
from noibo.wire.responses.budget import Budget
from tests.running import RunningServer, until

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
MODEL = "smollm2:135m"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "What the weather is in a place.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    },
    "strict": True,
}
SLOW = {"extra_body": {"x_echo": {"delay_ms": 200}}}
ENDLESS = {"extra_body": {"x_echo": {"delay_ms": 600_000}}}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("responses") / "home") as server:
        yield server


@pytest.fixture
def client(echo: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=echo.url + "/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def real(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real_server.url + "/v1", api_key="k", max_retries=0) as made:
        yield made


def scripted(client: openai.OpenAI, text: str = "hi", **script: Any) -> Response:
    return client.responses.create(model="echo", input=text, extra_body={"x_echo": script})


# ── made ────────────────────────────────────────────────────────────────────


def test_a_text_is_answered_and_the_answer_is_kept(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="xin chào các bạn")
    assert made.output_text == "xin chào các bạn"
    assert (made.status, made.model, made.object) == ("completed", "echo", "response")
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens) == (4, 4)
    assert client.responses.retrieve(made.id) == made


def test_the_stream_is_what_the_client_expects_and_ends_with_the_whole(
    client: openai.OpenAI,
) -> None:
    with client.responses.stream(model="echo", input="one two three") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == "one two three"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "one two three"
    kept = client.responses.retrieve(final.id)
    assert kept.output_text == final.output_text
    assert kept.usage == final.usage


def test_every_event_on_the_wire_is_named_and_numbered(echo: RunningServer) -> None:
    script = {"reasoning": "I think", "calls": [{"name": "weather", "arguments": {"a": 1}}]}
    body = {"model": "echo", "input": "hi there", "stream": True, "x_echo": script}
    answer = httpx2.post(echo.url + "/v1/responses", json=body, timeout=60)
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in blocks]
    assert [name.removeprefix("event: ") for name, _ in blocks] == [one["type"] for one in events]
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    for event in events:
        EVENTS.validate_python(event)
    assert answer.headers["X-Noibo-Model"] == "echo"
    kinds = [item["type"] for item in events[-1]["response"]["output"]]
    assert kinds == ["reasoning", "message", "function_call"]


def test_instructions_are_not_carried_over_and_the_conversation_is(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="a b c", instructions="x y")
    assert first.usage is not None
    assert first.usage.input_tokens == 5
    second = client.responses.create(model="echo", input="d e", previous_response_id=first.id)
    assert second.usage is not None
    assert second.usage.input_tokens == 3 + 3 + 2  # what was said, what was answered, what is new
    assert second.instructions is None
    third = client.responses.create(
        model="echo", input="f", previous_response_id=second.id, instructions="z"
    )
    assert third.usage is not None
    assert third.usage.input_tokens == 8 + 2 + 1 + 1
    assert third.previous_response_id == second.id


def test_tools_and_reasoning_stand_in_the_history(client: openai.OpenAI) -> None:
    call = {"name": "weather", "arguments": {"place": "Huế"}}
    first = client.responses.create(
        model="echo",
        input="weather?",
        tools=[WEATHER],  # type: ignore[list-item]
        extra_body={"x_echo": {"text": "", "reasoning": "look it up", "calls": [call]}},
    )
    thought, called = first.output
    assert thought.type == "reasoning"
    assert called.type == "function_call"
    assert json.loads(called.arguments) == {"place": "Huế"}
    second = client.responses.create(
        model="echo",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": called.call_id, "output": "rain"}],
    )
    assert second.output_text == "rain"
    with pytest.raises(openai.BadRequestError, match="call_9"):
        client.responses.create(
            model="echo",
            previous_response_id=first.id,
            input=[{"type": "function_call_output", "call_id": "call_9", "output": "x"}],
        )


def test_items_can_be_sent_back_by_who_keeps_the_history_itself(client: openai.OpenAI) -> None:
    first = client.responses.create(
        model="echo",
        input="one",
        store=False,
        include=["reasoning.encrypted_content"],
        extra_body={"x_echo": {"reasoning": "deep thought"}},
    )
    thought = first.output[0]
    assert thought.type == "reasoning"
    assert thought.encrypted_content
    again = [{"role": "user", "content": "one"}, *(one.to_dict() for one in first.output)]
    asked = [*again, {"role": "user", "content": "two"}]
    second = client.responses.create(model="echo", input=asked, store=False)  # type: ignore[arg-type]
    assert second.output_text == "two"


def test_an_item_can_be_spoken_of_by_its_id(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one two")
    reference = {"type": "item_reference", "id": first.output[0].id}
    second = client.responses.create(model="echo", input=[reference])  # type: ignore[list-item]
    assert second.output_text == "one two"
    with pytest.raises(openai.BadRequestError, match="msg_nowhere"):
        client.responses.create(
            model="echo", input=[{"type": "item_reference", "id": "msg_nowhere"}]
        )


def test_an_uploaded_file_is_read(client: openai.OpenAI) -> None:
    file = client.files.create(file=("note.txt", b"rain tomorrow"), purpose="user_data")
    part = {"type": "input_file", "file_id": file.id}
    asked = [{"role": "user", "content": [part]}]
    made = client.responses.create(model="echo", input=asked)  # type: ignore[arg-type]
    assert made.output_text == "File note.txt:\nrain tomorrow"
    client.files.delete(file.id)
    with pytest.raises(openai.BadRequestError, match=file.id):
        client.responses.create(model="echo", input=asked)  # type: ignore[arg-type]


def test_what_only_is_kept_is_kept(client: openai.OpenAI) -> None:
    kept: dict[str, Any] = {
        "metadata": {"project": "x"},
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "user": "u",
    }
    made = client.responses.create(model="echo", input="a", service_tier="auto", **kept)
    found = client.responses.retrieve(made.id).to_dict()
    assert {name: found[name] for name in kept} == kept
    assert found["service_tier"] == "default"


def test_a_model_that_is_cut_off_is_incomplete(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="one two three", max_output_tokens=2)
    assert made.status == "incomplete"
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == "max_output_tokens"
    assert made.output_text == "one two"


def test_deltas_are_filled_up_on_request(client: openai.OpenAI) -> None:
    events = client.responses.create(
        model="echo", input="one two", stream=True, stream_options={"include_obfuscation": True}
    )
    deltas = [one.to_dict() for one in events if one.type == "response.output_text.delta"]
    assert all(len(str(one["delta"])) + len(str(one["obfuscation"])) == 16 for one in deltas)


# ── what goes wrong ─────────────────────────────────────────────────────────


def test_an_error_before_the_first_word_is_a_status(client: openai.OpenAI) -> None:
    for stream in (True, False):
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(
                model="echo",
                input="a",
                stream=stream,
                extra_body={"x_echo": {"status": 418}},
            )
        assert caught.value.status_code == 418
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="nope:1b", input="a")
    assert missing.value.code == "model_not_found"


def test_an_answer_that_breaks_off_has_failed_and_is_kept(client: openai.OpenAI) -> None:
    events = list(
        client.responses.create(
            model="echo",
            input="one two three",
            stream=True,
            extra_body={"x_echo": {"cut_after": 2, "delay_ms": 20}},
        )
    )
    assert events[-1].type == "response.failed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kept = client.responses.retrieve(events[-1].response.id)
    assert kept.status == "failed"
    assert kept.error is not None
    assert kept.output_text == "one two"


def test_who_hangs_up_leaves_what_was_said(echo: RunningServer, client: openai.OpenAI) -> None:
    stream = client.responses.create(model="echo", input="one two", stream=True, **ENDLESS)
    name = ""
    for event in stream:
        if event.type == "response.created":
            name = event.response.id
        if event.type == "response.output_text.delta":
            break
    stream.close()
    until(lambda: _status(client, name) == "cancelled", "it is kept as cancelled")
    assert client.responses.retrieve(name).output_text == "one"
    with echo.client() as own:
        until(lambda: not own.queue().answering, "the slot is free")


def _status(client: openai.OpenAI, name: str) -> str | None:
    try:
        return client.responses.retrieve(name).status
    except openai.NotFoundError:
        return None


def test_what_is_not_to_be_stored_is_not(client: openai.OpenAI, echo: RunningServer) -> None:
    made = client.responses.create(model="echo", input="a secret word", store=False)
    assert made.store is False  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="b", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"
    for path in echo.home.glob("noibo.db*"):
        assert b"a secret word" not in path.read_bytes()


def test_what_is_deleted_is_gone(client: openai.OpenAI, echo: RunningServer) -> None:
    first = client.responses.create(model="echo", input="an unforgettable phrase")
    second = client.responses.create(model="echo", input="b", previous_response_id=first.id)
    client.responses.delete(first.id)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            call(first.id)
    with pytest.raises(openai.BadRequestError, match="not here any more"):
        client.responses.create(model="echo", input="c", previous_response_id=second.id)


@pytest.mark.parametrize("name", ["resp_0", "%00", "..%2e", "a" * 300, "resp_' OR 1=1", "%ff"])
def test_an_unknown_name_is_a_404(echo: RunningServer, name: str) -> None:
    url = f"{echo.url}/v1/responses/{name}"
    assert httpx2.get(url).status_code == 404
    assert httpx2.get(url + "/input_items").status_code == 404
    assert httpx2.delete(url).status_code == 404
    assert httpx2.post(url + "/cancel").status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"x"',
        "{",
        '{"model": "echo", "input": "a", "input": "b"}',
        '{"model": "echo", "input": NaN}',
        '{"model": "echo", "input": "\\ud800"}',
        '{"model": "echo", "input": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"model": 7, "input": "a"}',
        '{"model": "echo", "input": [[]]}',
        '{"model": "echo", "input": "a", "tools": [null]}',
        '{"model": "echo", "input": "a", "temperature": 1e400}',
        '{"model": "echo", "input": "a", "stop": {"a": 1}}',
    ],
)
def test_a_bad_body_is_a_400_in_openais_shape(echo: RunningServer, text: str) -> None:
    for path in ("/v1/responses", "/v1/responses/input_tokens"):
        answer = httpx2.post(echo.url + path, content=text)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_compaction_is_refused_clearly(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.compact(model="echo", input="a")
    assert caught.value.status_code == 501


# ── looked at ───────────────────────────────────────────────────────────────


def test_input_items_are_turned_page_by_page(client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": str(i)} for i in range(7)]
    made = client.responses.create(model="echo", input=asked)  # type: ignore[arg-type]

    def texts(**page: Any) -> list[str]:
        items = client.responses.input_items.list(made.id, **page)
        return [item.content[0].text for item in items]  # type: ignore[union-attr]

    assert texts(order="asc", limit=3) == list("0123456")
    assert texts(limit=3) == list("6543210")
    page = client.responses.input_items.list(made.id, limit=2, order="asc")
    assert page.has_more
    assert page.data[1].id == page.last_id
    with pytest.raises(openai.BadRequestError, match="after"):
        client.responses.input_items.list(made.id, after="msg_nowhere")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_items.list(made.id, limit=101)
    assert caught.value.param == "limit"


def test_what_is_not_served_of_a_look_is_named(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="a")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(made.id, include=["file_search_call.results"])
    assert caught.value.param == "include"
    with pytest.raises(openai.BadRequestError, match="no stream"):
        client.responses.retrieve(made.id, stream=True)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(made.id, extra_query={"starting_after": 1})
    assert caught.value.param == "starting_after"


@pytest.mark.anyio
async def test_another_owner_sees_nothing(home: Path) -> None:
    from noibo.errors import NotFound, PreviousResponseNotFound
    from noibo.gateway.page import Page
    from noibo.gateway.responses.records import ResponseRecords

    database = open_database(load())
    records = ResponseRecords(database)
    item = {"id": "msg_1", "type": "message"}
    made = {"id": "resp_1", "status": "completed", "previous_response_id": None, "output": [item]}
    await records.add("mine", made, [item])
    assert await records.get("mine", "resp_1") == made
    for ask in (
        records.get("other", "resp_1"),
        records.delete("other", "resp_1"),
        records.events("other", "resp_1"),
        records.input_items("other", "resp_1", Page(20)),
    ):
        with pytest.raises(NotFound):
            await ask
    with pytest.raises(PreviousResponseNotFound):
        await records.history("other", "resp_1", Budget(1000))
    assert not await records.items("other", ["msg_1"], Budget(1000))
    assert list(await records.items("mine", ["msg_1"], Budget(1000))) == ["msg_1"]
    await records.cancel("other", "resp_1")
    assert await records.get("mine", "resp_1") == made

    def owners(connection: sa.Connection) -> set[str]:
        found = sa.union(sa.select(responses.c.owner), sa.select(response_items.c.owner))
        return {row.owner for row in connection.execute(found)}

    assert await database.read(owners) == {"mine"}
    await database.close()


@pytest.mark.anyio
async def test_a_long_conversation_is_found_in_its_order(home: Path) -> None:
    from noibo.gateway.responses.records import ResponseRecords

    database = open_database(load())
    records = ResponseRecords(database)
    before = None
    for i in range(60):
        item = {"id": f"msg_{i}", "type": "message"}
        made = {
            "id": f"resp_{i}",
            "status": "completed",
            "previous_response_id": before,
            "output": [{"id": f"out_{i}", "type": "message"}],
        }
        await records.add("local", made, [item])
        before = f"resp_{i}"
    history = await records.history("local", "resp_59", Budget(100_000))
    await database.close()
    assert [one["id"] for one in history] == [
        name for i in range(60) for name in (f"msg_{i}", f"out_{i}")
    ]


# ── in the background ───────────────────────────────────────────────────────


def test_a_response_in_the_background_is_worked_on_while_nobody_listens(
    client: openai.OpenAI,
) -> None:
    made = client.responses.create(model="echo", input="one two three", background=True, **SLOW)
    assert made.status == "queued"
    assert made.background is True
    until(lambda: client.responses.retrieve(made.id).status == "in_progress", "it is begun")
    until(lambda: client.responses.retrieve(made.id).status == "completed", "it is done")
    assert client.responses.retrieve(made.id).output_text == "one two three"
    after = client.responses.create(model="echo", input="x", previous_response_id=made.id)
    assert after.usage is not None
    assert after.usage.input_tokens == 7


def test_its_stream_can_be_taken_up_again_from_any_event(client: openai.OpenAI) -> None:
    first = []
    stream = client.responses.create(
        model="echo", input="one two three four", background=True, stream=True, **SLOW
    )
    for event in stream:
        first.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    name = first[0].response.id  # type: ignore[union-attr]
    assert [event.type for event in first[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    seen = first[-1].sequence_number
    rest = list(client.responses.retrieve(name, stream=True, starting_after=seen))
    numbers = [event.sequence_number for event in (*first, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type == "response.completed"
    until(lambda: client.responses.retrieve(name).status == "completed", "it is kept")
    again = list(client.responses.retrieve(name, stream=True, starting_after=seen))
    assert again == rest
    with client.responses.stream(response_id=name) as told:
        assert told.get_final_response().output_text == "one two three four"


def test_it_can_be_cancelled_and_keeps_what_it_had(
    client: openai.OpenAI, echo: RunningServer
) -> None:
    made = client.responses.create(model="echo", input="one two", background=True, **ENDLESS)
    until(lambda: client.responses.retrieve(made.id).output_text == "one", "it said a word")
    with pytest.raises(openai.BadRequestError, match="not finished"):
        client.responses.create(model="echo", input="x", previous_response_id=made.id)
    ended = client.responses.cancel(made.id)
    assert ended.status == "cancelled"
    assert client.responses.retrieve(made.id).output_text == "one"
    assert client.responses.cancel(made.id).status == "cancelled"  # once more changes nothing
    with echo.client() as own:
        until(lambda: not own.queue().answering, "the slot is free")


def test_what_is_deleted_while_it_runs_is_gone(client: openai.OpenAI, echo: RunningServer) -> None:
    made = client.responses.create(model="echo", input="one two", background=True, **ENDLESS)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with echo.client() as own:
        until(lambda: not own.queue().answering, "the slot is free")


def test_what_fails_in_the_background_says_why(client: openai.OpenAI) -> None:
    made = client.responses.create(
        model="echo", input="a", background=True, extra_body={"x_echo": {"status": 500}}
    )
    until(lambda: client.responses.retrieve(made.id).status == "failed", "it has failed")
    error = client.responses.retrieve(made.id).error
    assert error is not None
    assert "scripted failure" in error.message
    events = list(client.responses.retrieve(made.id, stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "queued",
        "failed",
    ]


def test_only_what_runs_in_the_background_can_be_cancelled(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="a")
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)


@pytest.mark.heavy
def test_a_server_that_is_killed_leaves_responses_and_says_what_failed(home: Path) -> None:
    with RunningServer(home) as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0)
        kept = client.responses.create(model="echo", input="kept")
        lost = client.responses.create(model="echo", input="a b", background=True, **ENDLESS)
        server.process.kill()
        server.process.wait()
        client.close()

    async def age() -> None:
        database = open_database(load())
        old = responses.update().where(responses.c.id == lost.id).values(seen_at=0.0)
        await database.write(lambda connection: connection.execute(old))
        await database.close()

    asyncio.run(age())
    with RunningServer(home) as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0)
        assert client.responses.retrieve(kept.id).output_text == "kept"
        failed = client.responses.retrieve(lost.id)
        assert failed.status == "failed"
        assert failed.error is not None
        assert "server stopped" in failed.error.message
        assert client.responses.cancel(lost.id) == failed
        with pytest.raises(openai.BadRequestError, match="failed"):
            client.responses.create(model="echo", input="x", previous_response_id=lost.id)
        client.close()


# ── with a real model ───────────────────────────────────────────────────────


class Colour(pydantic.BaseModel):
    colour: str
    warm: bool


def test_a_model_answers_and_remembers(real: openai.OpenAI) -> None:
    fields: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_output_tokens": 24}
    first = real.responses.create(input="My name is Minh. Say hello.", **fields)
    second = real.responses.create(
        input="What is my name?", previous_response_id=first.id, **fields
    )
    messages: list[Any] = [
        {"role": "user", "content": "My name is Minh. Say hello."},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "What is my name?"},
    ]
    chat: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_tokens": 24}
    for made, said in ((first, messages[:1]), (second, messages)):
        same = real.chat.completions.create(messages=said, **chat)
        assert made.usage is not None
        assert same.usage is not None
        assert made.usage.input_tokens == same.usage.prompt_tokens
        assert made.usage.output_tokens == same.usage.completion_tokens
        assert made.output_text


def test_the_tokens_of_an_input_are_counted_as_the_answer_counts_them(real: openai.OpenAI) -> None:
    fields: dict[str, Any] = {
        "model": MODEL,
        "input": "Name a colour.",
        "instructions": "Be brief.",
        "tools": [WEATHER],
    }
    counted = real.responses.input_tokens.count(**fields)
    made = real.responses.create(max_output_tokens=1, **fields)
    assert made.usage is not None
    assert counted.input_tokens == made.usage.input_tokens
    assert counted.object == "response.input_tokens"


def test_an_answer_is_parsed_into_a_class(real: openai.OpenAI) -> None:
    made = real.responses.parse(
        model=MODEL, input="Describe red.", text_format=Colour, temperature=0, max_output_tokens=64
    )
    assert isinstance(made.output_parsed, Colour)


def test_a_tool_is_called_and_its_arguments_are_streamed(real: openai.OpenAI) -> None:
    with real.responses.stream(
        model=MODEL,
        input="What is the weather in Hanoi?",
        tools=[WEATHER],  # type: ignore[list-item]
        tool_choice={"type": "function", "name": "weather"},
        temperature=0,
        max_output_tokens=64,
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert set(json.loads(call.arguments)) == {"place"}
    pieces = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    assert len(pieces) > 1
    after = real.responses.create(
        model=MODEL,
        previous_response_id=final.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}],
        temperature=0,
        max_output_tokens=8,
    )
    assert after.output_text


def test_log_probabilities_are_there_for_who_asks(real: openai.OpenAI) -> None:
    made = real.responses.create(
        model=MODEL,
        input="Hi",
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        max_output_tokens=4,
        temperature=0,
    )
    (message,) = made.output
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert [len(row.top_logprobs) for row in part.logprobs] == [2, 2, 2, 2]
    plain = real.responses.create(model=MODEL, input="Hi", max_output_tokens=2)
    assert plain.output[0].content[0].logprobs == []  # type: ignore[union-attr]


@pytest.mark.heavy
def test_a_seed_that_only_the_engine_knows_has_its_effect(real: openai.OpenAI) -> None:
    def drawn(seed: int) -> str:
        fields: dict[str, Any] = {"temperature": 1.5, "max_output_tokens": 16}
        made = real.responses.create(
            model=MODEL, input="Tell a story.", extra_body={"seed": seed}, **fields
        )
        return made.output_text

    drawn(7)
    assert drawn(7) == drawn(7)
    assert len({drawn(seed) for seed in (7, 8, 9)}) > 1


def test_a_picture_for_a_model_that_sees_none_is_refused(real: openai.OpenAI) -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    asked = [{"role": "user", "content": [part]}]
    for ask in (real.responses.create, real.responses.input_tokens.count):
        with pytest.raises(openai.BadRequestError, match=r"input: .* projector") as caught:
            ask(model=MODEL, input=asked)  # type: ignore[operator]
        assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("reasoning.effort", {"reasoning": {"effort": "low"}}),
        ("text.format", {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}),
        (
            "text.format",
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "x"}}}},
        ),
    ],
)
def test_what_a_model_cannot_do_is_named_as_it_was_asked(
    real: openai.OpenAI, param: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match=f"{param}:") as caught:
        real.responses.create(model=MODEL, input="a", **fields)
    assert caught.value.param == param


def test_thinking_is_counted_by_the_models_own_tokens(client: openai.OpenAI) -> None:
    made = scripted(client, "two words", reasoning="three more words")
    assert made.usage is not None
    assert made.usage.output_tokens_details.reasoning_tokens == 3
    assert made.usage.output_tokens == 5


@pytest.mark.heavy
def test_many_at_once_are_each_their_own(client: openai.OpenAI) -> None:
    def ask(i: int) -> bool:
        made = client.responses.create(model="echo", input=f"number {i}")
        found = client.responses.retrieve(made.id)
        return made.output_text == found.output_text == f"number {i}"

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))
    print(f"{200 / (time.perf_counter() - began):.0f} made and fetched in a second")
