"""Responses that are kept: ended once by whoever is first, built upon, swept away."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import sqlalchemy as sa

from noibo.assembly import open_database, open_stored
from noibo.database.database import Database
from noibo.database.schema import response_items, responses
from noibo.errors import InvalidRequest, NotFound, PreviousResponseNotFound
from noibo.gateway.callers import Caller
from noibo.gateway.off_loop import SMALL
from noibo.gateway.reply import Reply
from noibo.gateway.responses.background import Running
from noibo.gateway.responses.records import ResponseRecords
from noibo.gateway.responses.request import prepare
from noibo.gateway.responses.sweeper import sweep
from noibo.gateway.responses.teller import ResponseRelay, ResponseTeller, Voice
from noibo.gateway.stored import Opening
from noibo.settings import load
from noibo.wire.body import Fields, Json, raw
from noibo.wire.responses.answer import Answer, Telling
from noibo.wire.responses.budget import MOST_ITEMS, Budget
from noibo.wire.responses.reasoning import sealed
from tests.running import RunningServer, until

ENDS = ("completed", "cancelled", "deleted")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes few words together, and often says that it is alive."""
    home = tmp_path_factory.mktemp("kept") / "home"
    limits = {"NOIBO_SERVER_MAX_BODY_BYTES": "4000000", "NOIBO_QUEUE_ALIVE_S": "0.1"}
    with RunningServer(home, **limits) as server:
        yield server


@pytest.fixture
def client(echo: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=echo.url + "/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
async def database(home: Path) -> AsyncIterator[Database]:
    opened = open_database(load())
    yield opened
    await opened.close()


def response(name: str, status: str = "completed", before: str | None = None, **more: Any) -> Json:
    said = {"id": f"out_{name}", "type": "message", "status": "completed"}
    made = {"id": name, "status": status, "previous_response_id": before, "output": [said]}
    return made | more


def asked(name: str) -> Json:
    return {"id": f"in_{name}", "type": "message", "status": "completed"}


async def keep(database: Database, made: Json, **columns: Any) -> None:
    await ResponseRecords(database).add("local", made, [asked(made["id"])])
    if columns:
        change = responses.update().where(responses.c.id == made["id"]).values(**columns)
        await database.write(lambda connection: connection.execute(change))


async def said(database: Database, name: str) -> list[str]:
    records = ResponseRecords(database)
    return [one["id"] for one in await records.history("local", name, Budget(100_000))]


# ── ended once ──────────────────────────────────────────────────────────────


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_of_an_end_a_cancel_and_a_delete_the_first_wins(home: Path, seed: int) -> None:
    """Two servers of one database, all at the same moment."""
    order = random.Random(seed)
    here, there = open_database(load()), open_database(load())
    mine, others = ResponseRecords(here), ResponseRecords(there)
    for number in range(12):
        name = f"resp_{number}"
        await mine.add("local", response(name, "queued", output=[]), [asked(name)])
        calls: list[Any] = [
            mine.finish(response(name), b"event: x\n\n"),
            others.cancel("local", name),
            mine.seen(name, "in_progress"),
        ]
        if number % 3 == 0:
            calls.append(others.delete("local", name))
        order.shuffle(calls)
        ended = {True, None, *await asyncio.gather(*calls)}
        if number % 3 == 0:
            with pytest.raises(NotFound):
                await mine.get("local", name)
            continue
        found = await mine.get("local", name)
        finished = False not in ended
        assert found["status"] == ("completed" if finished else "cancelled")
        assert len(found["output"]) == finished
        assert (await others.events("local", name) is not None) == finished
        assert not await others.finish(response(name, "completed"), b"") or finished
        await others.cancel("local", name)
        assert (await mine.get("local", name))["status"] == found["status"]
    rows = sa.select(sa.func.count()).select_from(response_items)
    kept = await here.read(lambda connection: connection.execute(rows).scalar_one())
    answers = sa.select(sa.func.count()).where(responses.c.status == "completed")
    whole = await here.read(lambda connection: connection.execute(answers).scalar_one())
    assert kept == 8 + whole  # of what is deleted nothing came back
    for one in (here, there):
        await one.close()


@pytest.mark.anyio
async def test_one_cancelled_elsewhere_keeps_what_it_had(database: Database) -> None:
    await keep(database, response("resp_1", "in_progress", output=[]))
    records = ResponseRecords(database)
    await records.cancel("local", "resp_1")
    assert await records.seen("resp_1", "in_progress") == "cancelled"
    assert not await records.finish(response("resp_1", "failed"), b"")
    assert await records.finish(response("resp_1", "cancelled"), b"event: x\n\n")
    found = await records.get("local", "resp_1")
    assert (found["status"], len(found["output"])) == ("cancelled", 1)


@pytest.mark.anyio
async def test_that_a_response_has_ended_is_seen_with_its_end(database: Database) -> None:
    await keep(database, response("resp_1", "queued", output=[]))
    records = ResponseRecords(database)
    assert await records.seen("resp_1", "in_progress") == "in_progress"
    assert await records.seen("resp_1", "completed") == "in_progress"
    assert await records.finish(response("resp_1"), b"event: x\n\n")
    assert await records.seen("resp_1", "in_progress") == "completed"


@pytest.mark.heavy
def test_many_are_cancelled_deleted_and_heard_while_they_end(
    client: openai.OpenAI, echo: RunningServer
) -> None:
    def one(seed: int) -> None:
        order = random.Random(seed)
        made = client.responses.create(
            model="echo",
            input="one two three",
            background=True,
            extra_body={"x_echo": {"delay_ms": order.choice([0, 5, 10])}},
        )
        time.sleep(order.random() * 0.15)
        told = client.responses.cancel(made.id) if seed % 2 else None
        if seed % 5 == 0:
            client.responses.delete(made.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(made.id)
            return
        until(lambda: client.responses.retrieve(made.id).status in ENDS, "it has ended")
        found = client.responses.retrieve(made.id)
        assert told is None or told == found == client.responses.cancel(made.id)
        events = list(client.responses.retrieve(made.id, stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        whole = events[-1].type == "response.completed"
        assert whole == (found.status == "completed")
        if whole:
            assert events[-1].response == found  # type: ignore[union-attr]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(one, range(48)))
    with echo.client() as own:
        until(lambda: not own.queue().answering, "all slots are free")


def test_an_end_that_is_heard_is_written_down(client: openai.OpenAI, echo: RunningServer) -> None:
    def one(number: int) -> None:
        stream = client.responses.create(
            model="echo", input=f"number {number}", background=True, stream=True
        )
        heard = 0
        for event in stream:
            heard += 1
            if event.type == "response.completed":
                kept = asyncio.run(_row(echo.home, event.response.id))
                assert kept.status == "completed"
                assert kept.events is not None
                assert client.responses.retrieve(event.response.id) == event.response
                again = client.responses.create(
                    model="echo", input="x", previous_response_id=event.response.id
                )
                assert again.status == "completed"
        assert event.type == "response.completed"
        assert heard == event.sequence_number + 1

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(18)))


async def _row(home: Path, name: str) -> Any:
    database = open_database(load(environ={"NOIBO_HOME": str(home)}))
    mine = sa.select(responses).where(responses.c.id == name)
    try:
        return await database.read(lambda connection: connection.execute(mine).one())
    finally:
        await database.close()


def test_whoever_polls_until_the_end_can_build_on_it(client: openai.OpenAI) -> None:
    for _ in range(12):
        made = client.responses.create(model="echo", input="a b", background=True)
        until(lambda name=made.id: client.responses.retrieve(name).status == "completed", "done")
        client.responses.create(model="echo", input="c", previous_response_id=made.id)


class Played(ResponseRelay):
    """Chunks of an engine that come when the test says so."""

    def __init__(self, teller: ResponseTeller) -> None:
        self.chunks = asyncio.Queue[Json | None]()
        self._teller = teller

    async def answer(self, reply: Reply) -> None:
        while (chunk := await self.chunks.get()) is not None:
            await reply.say(self._teller.chunk(chunk))
        await self._teller.settle(None)
        await reply.say(self._teller.end())


async def played(database: Database) -> tuple[Running, Played, ResponseTeller]:
    """One in the background that has begun."""
    head = {"id": "resp_1", "model": "m", "previous_response_id": None}
    teller = ResponseTeller(Answer(head, Telling(), time.time), None, None)  # type: ignore[arg-type]
    running = Running(teller, ResponseRecords(database), "local")
    relay = Played(teller)
    await running.begin(relay, Voice(), [])
    return running, relay, teller


@pytest.mark.anyio
async def test_an_end_that_cannot_be_kept_is_heard_though_it_was_cancelled_meanwhile(
    database: Database,
) -> None:
    running, relay, teller = await played(database)
    full = "PRAGMA max_page_count = 1"  # as many as there are
    await database.read(lambda connection: connection.exec_driver_sql(full).scalar())
    waits = threading.Event()
    others = asyncio.create_task(database.read(lambda connection: waits.wait(60)))
    delta = {"content": "x" * 500_000}
    relay.chunks.put_nowait({"choices": [{"index": 0, "delta": delta}]})
    relay.chunks.put_nowait(None)
    while not teller.answer.ended:
        await asyncio.sleep(0)
    cancelling = asyncio.create_task(running.cancel())
    for _ in range(10):
        await asyncio.sleep(0)
    waits.set()
    await asyncio.gather(cancelling, others)
    heard = [event async for event in running.tail(-1, 60)]
    assert b"response.failed" in heard[-1]
    assert numbers(iter(b"".join(heard).decode().splitlines())) == list(range(len(heard)))


@pytest.mark.anyio
async def test_a_listener_that_is_slow_at_the_end_hears_every_event_once(
    database: Database,
) -> None:
    running, relay, _ = await played(database)
    slow, late = running.tail(-1, 60), running.tail(1, 60)
    heard = [await anext(slow)]
    for said in ({"content": "a"}, {"content": "b"}, None):
        relay.chunks.put_nowait(said and {"choices": [{"index": 0, "delta": said}]})
        while relay.chunks.qsize():
            await asyncio.sleep(0)
    while not running.ended:
        await asyncio.sleep(0.01)
    heard += [event async for event in slow]
    assert [event async for event in late] == heard[2:]
    assert numbers(iter(b"".join(heard).decode().splitlines())) == list(range(len(heard)))
    assert b"response.completed" in heard[-1]
    assert await ResponseRecords(database).events("local", "resp_1") == b"".join(heard)


def test_late_listeners_hear_every_event_once(echo: RunningServer) -> None:
    body = {"model": "echo", "input": "a b c d e f", "background": True, "stream": True}
    body |= {"x_echo": {"delay_ms": 30}}
    with httpx2.Client(base_url=echo.url, timeout=60) as http:

        def hear(name: str, after: int) -> list[int]:
            url = f"/v1/responses/{name}?stream=true&starting_after={after}"
            return numbers(http.get(url).iter_lines())

        with http.stream("POST", "/v1/responses", json=body) as answer:
            lines = answer.iter_lines()
            first = next(line for line in lines if line.startswith("data: "))
            name = json.loads(first.removeprefix("data: "))["response"]["id"]
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                late = list(pool.map(lambda after: hear(name, after), (0, 2, 4, 6)))
            assert http.get(f"/v1/responses/{name}").json()["status"] == "completed"
            heard = [0, *numbers(lines)]
        assert heard == list(range(len(heard)))
        assert late == [heard[after + 1 :] for after in (0, 2, 4, 6)]
        assert hear(name, 4) == heard[5:]
        assert hear(name, 10**6) == []


def numbers(lines: Iterator[str]) -> list[int]:
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one)["sequence_number"] for one in found]


def test_a_listener_is_told_that_the_connection_is_alive(echo: RunningServer) -> None:
    slow = {"x_echo": {"prefill_ms": 600}}
    body = {"model": "echo", "input": "a", "background": True, "stream": True} | slow
    answer = httpx2.post(echo.url + "/v1/responses", json=body, timeout=60)
    assert ": alive" in answer.text
    assert numbers(iter(answer.text.splitlines())) == list(range(10))


# ── built upon ──────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_what_was_cut_off_stays_in_the_conversation_and_unfinished_calls_do_not(
    database: Database,
) -> None:
    call = {"id": "fc_1", "type": "function_call", "status": "incomplete"}
    whole = {"id": "fc_2", "type": "function_call", "status": "completed"}
    text = {"id": "msg_1", "type": "message", "status": "incomplete"}
    await keep(database, response("resp_1", "incomplete", output=[text, whole, call]))
    await keep(database, response("resp_2", "cancelled", "resp_1", output=[text, call]))
    await keep(database, response("resp_3", before="resp_2"))
    assert await said(database, "resp_3") == [
        "in_resp_1",
        "msg_1",
        "fc_2",
        "in_resp_2",
        "msg_1",
        "in_resp_3",
        "out_resp_3",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("last", ["resp_2", "resp_3"])
@pytest.mark.parametrize(
    ("status", "columns", "why"),
    [
        ("failed", {}, "resp_2 failed"),
        ("in_progress", {}, "resp_2 is not finished"),
        ("queued", {"seen_at": 0.0}, "resp_2 failed"),
    ],
)
async def test_nothing_is_built_on_what_is_no_answer(
    database: Database, last: str, status: str, columns: Json, why: str
) -> None:
    await keep(database, response("resp_1"))
    await keep(database, response("resp_2", status, "resp_1"), **columns)
    await keep(database, response("resp_3", before="resp_2"))
    with pytest.raises(InvalidRequest, match=why) as caught:
        await said(database, last)
    assert caught.value.param == "previous_response_id"


@pytest.mark.anyio
async def test_a_gap_in_a_conversation_is_said(database: Database) -> None:
    for number in range(1, 4):
        before = f"resp_{number - 1}" if number > 1 else None
        await keep(database, response(f"resp_{number}", before=before))
    await ResponseRecords(database).delete("local", "resp_2")
    with pytest.raises(PreviousResponseNotFound, match="resp_2"):
        await said(database, "resp_3")
    assert await said(database, "resp_1") == ["in_resp_1", "out_resp_1"]


@pytest.mark.anyio
async def test_an_item_is_the_models_own_before_the_one_that_was_sent_again(
    database: Database,
) -> None:
    own = {"id": "msg_1", "type": "message", "text": "own"}
    sent = {"id": "msg_1", "type": "message", "text": "sent"}
    records = ResponseRecords(database)
    await records.add("local", response("resp_1", output=[own]), [])
    await records.add("local", response("resp_2"), [sent])
    wanted = ["msg_1", *(f"msg_{i}" for i in range(2, MOST_ITEMS))]
    assert await records.items("local", wanted, Budget(1000)) == {"msg_1": own}
    with pytest.raises(InvalidRequest, match="10 characters"):
        await records.items("local", wanted, Budget(10))
    await records.add("local", response("resp_3"), [sent | {"id": "msg_2"}])
    await records.add("local", response("resp_4"), [own | {"id": "msg_2"}])
    assert (await records.items("local", ["msg_2"], Budget(1000)))["msg_2"]["text"] == "own"


@pytest.mark.anyio
async def test_no_more_items_are_read_than_a_request_may_have(database: Database) -> None:
    records = ResponseRecords(database)
    await records.add("local", response("resp_1", output=[asked("long")]), [asked("unread")])
    unreadable = response_items.update().where(response_items.c.id == "in_unread").values(body="{")
    await database.write(lambda connection: connection.execute(unreadable))
    with pytest.raises(InvalidRequest, match="10 characters"):
        await records.items("local", ["in_unread", "in_long"], Budget(10))


@pytest.mark.anyio
async def test_a_little_that_unpacks_to_much_is_much() -> None:
    def body(word: str) -> Fields:
        item = {"type": "reasoning", "encrypted_content": word}
        return {"model": raw("m"), "input": raw([item])}

    unopened = Opening(lambda: open_stored(load()), lambda: True)
    thought = "x" * 10 * SMALL
    prepared = await prepare(body(sealed(thought)), Caller(), unopened, 2 * len(thought))
    assert prepared.size >= len(thought)
    with pytest.raises(InvalidRequest, match="characters"):
        await prepare(body(sealed(thought)), Caller(), unopened, len(thought) - 1)


def test_a_chat_that_the_template_refuses_is_a_wrong_input(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="scripted failure") as caught:
        client.responses.input_tokens.count(
            model="echo", input="a", extra_body={"x_echo": {"status": 500}}
        )
    assert caught.value.param == "input"


def test_items_that_are_spoken_of_stand_in_their_places(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one")
    second = client.responses.create(model="echo", input="two")
    made = client.responses.create(
        model="echo",
        input=[
            {"role": "user", "content": "begin"},
            {"type": "item_reference", "id": second.output[0].id},
            {"role": "user", "content": "between"},
            {"type": "item_reference", "id": first.output[0].id},
        ],
    )
    items = client.responses.input_items.list(made.id, order="asc")
    texts = [item.content[0].text for item in items]  # type: ignore[union-attr]
    assert texts == ["begin", "two", "between", "one"]


def test_an_item_of_the_conversation_is_not_sent_again(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one")
    again: list[Any] = [
        first.output[0].to_dict(),
        {"type": "item_reference", "id": first.output[0].id},
    ]
    for item in again:
        with pytest.raises(openai.BadRequestError, match=first.output[0].id) as caught:
            client.responses.create(model="echo", previous_response_id=first.id, input=[item])
        assert caught.value.param == "input[0].id"
    with pytest.raises(openai.BadRequestError, match="msg_nowhere") as caught:
        reference: Any = {"type": "item_reference", "id": "msg_nowhere"}
        client.responses.create(model="echo", input=[{"role": "user", "content": ""}, reference])
    assert caught.value.param == "input[1].id"


def test_a_conversation_is_no_larger_than_a_body_may_be(client: openai.OpenAI) -> None:
    last = None
    for _ in range(2):
        made = client.responses.create(
            model="echo",
            input="x" * 1_600_000,
            previous_response_id=last,
            extra_body={"x_echo": {"text": "ok"}},
        )
        last = made.id
    with pytest.raises(openai.BadRequestError, match="4,000,000 characters") as caught:
        client.responses.create(model="echo", input="x" * 1_600_000, previous_response_id=last)
    assert caught.value.param == "input"
    file = client.files.create(file=("a.txt", b"x" * 3_000_000), purpose="user_data")
    part = {"type": "input_file", "file_id": file.id}
    with pytest.raises(openai.BadRequestError, match="4,000,000 characters"):
        client.responses.create(
            model="echo",
            input=[{"role": "user", "content": [part]}],  # type: ignore[list-item]
            previous_response_id=last,
        )
    again = client.responses.create(model="echo", input="short", previous_response_id=last)
    assert again.output_text == "short"


# ── left behind ─────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_what_its_server_left_has_failed_and_stays_so(database: Database) -> None:
    await keep(database, response("resp_1", "in_progress", output=[]), seen_at=time.time() - 60)
    records = ResponseRecords(database)
    await records.cancel("local", "resp_1")
    found = await records.get("local", "resp_1")
    assert found["status"] == "failed"
    assert "server stopped" in found["error"]["message"]
    # A server that was only slow knows better.
    assert await records.finish(response("resp_1"), b"event: x\n\n")
    assert (await records.get("local", "resp_1"))["status"] == "completed"


@pytest.mark.heavy
def test_old_responses_are_swept_away(home: Path) -> None:
    month_s = 31 * 86_400

    async def before() -> None:
        opened = open_database(load())
        await keep(opened, response("resp_new"))
        for number in range(450):
            made = response(f"resp_{number}")
            await keep(opened, made, created_at=time.time() - month_s)
        works = response("resp_works", "in_progress")
        await keep(opened, works, created_at=time.time() - month_s)
        await opened.close()

    async def left() -> set[str]:
        opened = open_database(load())
        both = sa.union(sa.select(responses.c.id), sa.select(response_items.c.response_id))
        rows = await opened.read(lambda connection: connection.execute(both).all())
        await opened.close()
        return {row.id for row in rows}

    asyncio.run(before())
    with RunningServer(home) as server:
        until(lambda: httpx2.get(server.url + "/v1/responses/resp_449").status_code == 404, "gone")
        until(lambda: asyncio.run(left()) == {"resp_new", "resp_works"}, "no more and no less")


@pytest.mark.anyio
async def test_without_a_number_of_days_nothing_is_swept_away() -> None:
    unopened = Opening(lambda: open_stored(load()), lambda: True)
    await sweep(unopened, load(options={"server.keep_responses_days": 0}))


@pytest.mark.heavy
def test_a_server_that_stops_says_what_it_did_not_finish(home: Path) -> None:
    endless = {"x_echo": {"delay_ms": 600_000}}
    with RunningServer(home) as server, httpx2.Client(timeout=60) as http:
        body = {"model": "echo", "input": "one two", "background": True} | endless
        name = http.post(server.url + "/v1/responses", json=body).json()["id"]
        url = f"{server.url}/v1/responses/{name}"
        until(lambda: bool(http.get(url).json()["output"]), "it said a word")
    with RunningServer(home) as server, httpx2.Client(timeout=60) as http:
        url = f"{server.url}/v1/responses/{name}"
        found = http.get(url).json()
        assert found["status"] == "failed"
        assert "server stopped" in found["error"]["message"]
        assert found["output"][0]["content"][0]["text"] == "one"
        events = http.get(url + "?stream=true").text
        assert events.rindex("event: response.failed") > events.rindex("output_item.done")
