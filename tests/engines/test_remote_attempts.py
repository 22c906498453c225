"""How a server elsewhere is asked, over real connections."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from noibo import settings
from noibo.engines import line
from noibo.engines.engine import Model, Verb
from noibo.engines.line import Session
from noibo.engines.memory.book import Book
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.attempts import Attempts
from noibo.engines.remote.breaker import FAILURES
from noibo.engines.remote.dialect import OpenAi
from noibo.engines.remote.reached import Reached
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.errors import EgressRefused, EngineRefused, NotSupported, UpstreamFailed
from noibo.model_settings import ModelSettings
from tests.engines.elsewhere import (
    CHAT,
    CHUNKED,
    HELLO,
    Asked,
    chunk,
    peer,
    raw,
    reached,
    said,
    upstream,
    whole,
)
from tests.engines.supervised import Holder, eventually

pytestmark = pytest.mark.anyio
OK = {"choices": []}
Answers = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def in_turn(*answers: bytes | None) -> Answers:
    """One after the other; None: the connection is closed. The last again and again."""
    left = list(answers)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        now = left.pop(0) if len(left) > 1 else left[0]
        if now is None:
            writer.transport.abort()
        else:
            writer.write(now)

    return answer


async def test_one_that_has_no_time_is_asked_again() -> None:
    async with reached(in_turn(whole(503, {}), whole(502, {}), whole(200, OK))) as (there, up):
        assert (await said(up))[0] == 200
        assert len(there.asked) == 3
        assert up.worker.breaker.failures == 0  # type: ignore[attr-defined]


async def test_it_is_not_asked_for_ever() -> None:
    async with reached(in_turn(whole(503, {})), retries=1) as (there, up):
        assert (await said(up))[0] == 503
        assert len(there.asked) == 2


async def pauses(up: Upstream) -> list[float]:
    """For how long it is left alone before it answers: nobody waits for that here."""
    found: list[float] = []

    async def rest(seconds: float) -> None:
        found.append(seconds)

    worker = up.worker
    assert isinstance(worker, Reached)
    attempts = Attempts(worker, up._session, rest)
    async with await attempts.post(CHAT, raw(messages=HELLO)) as response:
        assert response.status == 200
    return found


async def test_retry_after_is_waited_for_as_a_number_and_as_a_date() -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    busy = whole(429, {}, Retry_After="3"), whole(503, {}, Retry_After=past)
    async with reached(in_turn(*busy, whole(200, OK))) as (_, up):
        assert await pauses(up) == [3.0, 0.0]


@pytest.mark.parametrize(("status", "asked"), [(502, 1), (504, 1), (503, 2), (429, 2)])
async def test_what_it_may_have_worked_on_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, status: int, asked: int
) -> None:
    monkeypatch.setattr(line, "SOON_S", 0.05)

    async def slow(_: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(whole(status, {}))

    async with reached(slow, retries=1) as (there, up):
        assert (await said(up))[0] == status
        assert len(there.asked) == asked


async def test_what_is_too_long_to_wait_for_is_told_to_the_caller() -> None:
    async with reached(in_turn(whole(429, {}, Retry_After="90"))) as (there, up):
        async with up.generate("/v1/chat/completions", raw(messages=HELLO)) as response:
            error = up.refusal(response, b"{}")
        assert error.retry_after_s == 90
        assert len(there.asked) == 1


async def test_once_a_byte_of_an_answer_came_it_is_never_asked_again() -> None:
    async def breaks_off(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk(b'data: {"choices":[]}\n\n'))
        await writer.drain()
        writer.transport.abort()

    async with reached(breaks_off) as (there, up):
        with pytest.raises(UpstreamFailed):
            await said(up)
        assert len(there.asked) == 1


async def test_half_of_a_head_is_a_byte_of_an_answer_too() -> None:
    async def half(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 2")
        await writer.drain()
        writer.transport.abort()

    async with reached(half) as (there, up):
        with pytest.raises(UpstreamFailed):
            await said(up)
        assert len(there.asked) == 1


async def test_silence_ends_in_its_time_before_and_within_an_answer() -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.body["model"] == "begins":
            writer.write(CHUNKED + chunk(b"data: {}\n\n"))

    for model in ("near", "begins"):
        async with peer(silent) as there:
            way = upstream(Remote, f"{there.url}/v1", model, first_s=0.2, stall_s=0.2)
            async with way as up:
                with pytest.raises(UpstreamFailed, match=r"said nothing for 0\.2 s"):
                    await said(up)
            assert len(there.asked) == 1


async def test_a_look_has_its_time_too() -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Says nothing."""

    async with reached(silent, first_s=0.1) as (_, up), asyncio.timeout(5):
        with pytest.raises(UpstreamFailed, match=r"said nothing for 0\.1 s"):
            await up.look("/props")


# ── the breaker ─────────────────────────────────────────────────────────────


async def fail(up: Upstream, times: int) -> None:
    for _ in range(times):
        with pytest.raises(UpstreamFailed):
            await said(up)


async def test_a_server_that_is_not_there_is_left_alone_after_a_while() -> None:
    async with reached(in_turn(None), retries=0) as (there, up):
        await fail(up, FAILURES)
        asked = len(there.asked)
        with pytest.raises(UpstreamFailed, match="left alone") as error:
            await said(up)
        assert error.value.retry_after_s
        assert len(there.asked) == asked
        assert up.worker.facts()["placement"]["breaker"] == "open"


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 501])
async def test_refusals_and_busy_answers_do_not_open_it(status: int) -> None:
    async with reached(in_turn(whole(status, {}, Retry_After="60"))) as (_, up):
        for _ in range(FAILURES + 1):
            assert (await said(up))[0] == status
        assert up.worker.facts()["placement"]["breaker"] == "closed"


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_server_that_is_overrun_for_long_is_left_alone(status: int) -> None:
    async with reached(in_turn(whole(status, {})), retries=0) as (_, up):
        for _ in range(FAILURES):
            assert (await said(up))[0] == status
        assert up.worker.facts()["placement"]["breaker"] == "open"


async def test_callers_who_leave_do_not_open_it() -> None:
    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with reached(slow) as (_, up):
        for _ in range(FAILURES + 1):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await said(up)
        assert up.worker.breaker.failures == 0  # type: ignore[attr-defined]


async def test_a_caller_who_leaves_a_trial_does_not_take_it_along() -> None:
    healthy = asyncio.Event()

    async def ill(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if healthy.is_set():
            writer.write(whole(200, OK))
        elif asked.body.get("hold"):
            await asyncio.sleep(5)
        else:
            writer.transport.abort()

    async with reached(ill, retries=0) as (_, up):
        await fail(up, FAILURES)
        up.worker.breaker._until = 0.0  # type: ignore[attr-defined] # its time is up
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await said(up, hold=True)
        assert up.worker.reach is not None
        dialect = up.worker.reach.dialect
        assert isinstance(dialect, OpenAi)
        dialect.missing.add("/tokenize")
        with pytest.raises(NotSupported, match="has no /tokenize"):  # a trial that was never sent
            await up.tokenise("a")
        healthy.set()
        assert (await said(up))[0] == 200
        assert up.worker.facts()["placement"]["breaker"] == "closed"


async def test_heads_without_a_byte_after_them_do_not_count_as_answers() -> None:
    async def hangs(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)

    async with reached(hangs, first_s=0.05, stall_s=0.05) as (_, up):
        await fail(up, FAILURES)
        assert up.worker.facts()["placement"]["breaker"] == "open"


# ── slots ───────────────────────────────────────────────────────────────────


def supervisor_of(home: Path, url: str, **own: Any) -> Supervisor:
    models = {"near": ModelSettings(engine="remote", base_url=url, **own)}
    tree = settings.Settings(home=home, models=models)
    home.mkdir(parents=True, exist_ok=True)
    tuning, book = Tuning(home / "tuning.json"), Book(home / "memory.json")
    return Supervisor({"remote": Remote(models)}, tree, tuning, book)


async def test_who_waits_to_ask_again_holds_no_slot(home: Path) -> None:
    patient = asyncio.Event()

    async def busy(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.body.get("first") and not patient.is_set():
            patient.set()
            writer.write(whole(503, {}, Retry_After="1"))
        else:
            writer.write(whole(200, OK))

    model = Model("near", "remote", format="remote")
    async with peer(busy) as there, new_session() as session:
        supervisor = supervisor_of(home, f"{there.url}/v1", parallel=1)

        async def ask(**fields: Any) -> int:
            lease = supervisor.lease(Claim(model))
            async with lease as worker:
                return (await said(Upstream(worker, session, lease), **fields))[0]

        try:
            first = asyncio.create_task(ask(first=True))
            await patient.wait()
            async with asyncio.timeout(0.7):  # before the first is asked again
                assert await ask() == 200
            assert not first.done()
            assert await first == 200
            (worker,) = supervisor.workers()
            assert worker.leases == 0
        finally:
            await supervisor.close()


async def test_two_questions_on_one_lease_give_it_back_once(home: Path) -> None:
    model = Model("near", "remote", format="remote")
    refuse, answer = whole(503, {}), whole(200, {"data": []})
    async with peer(in_turn(refuse, refuse, answer)) as there, new_session() as session:
        supervisor = supervisor_of(home, f"{there.url}/v1", parallel=1)
        try:
            lease = supervisor.lease(Claim(model))
            async with lease as worker:
                up = Upstream(worker, session, lease)
                asked = (up.ask(Verb.EMBED, "/v1/embeddings", {"input": one}) for one in "ab")
                assert await asyncio.gather(*asked) == [{"data": []}] * 2
                assert worker.leases == 1
            assert [one.leases for one in supervisor.workers()] == [0]
        finally:
            await supervisor.close()


async def test_who_leaves_while_it_waits_gives_nothing_back_twice(home: Path) -> None:
    model = Model("near", "remote", format="remote")
    async with peer(in_turn(whole(503, {}, Retry_After="3"))) as there, new_session() as session:
        supervisor = supervisor_of(home, f"{there.url}/v1", parallel=1)
        try:
            lease = supervisor.lease(Claim(model))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    async with lease as worker:
                        await said(Upstream(worker, session, lease))
            (worker,) = supervisor.workers()
            assert worker.leases == 0
        finally:
            await supervisor.close()


async def test_a_second_wait_is_told_and_both_count(home: Path) -> None:
    model, told = Model("near", "remote", format="remote"), list[Ticket]()
    busy = whole(503, {}, Retry_After="0")
    async with peer(in_turn(busy, whole(200, OK))) as there, new_session() as session:
        supervisor = supervisor_of(home, f"{there.url}/v1", parallel=1)
        try:
            lease = supervisor.lease(Claim(model), told.append)
            async with lease as worker:
                before = len(told)
                other = Holder(supervisor, model)
                await eventually(lambda: other.ticket is not None)
                asking = asyncio.create_task(said(Upstream(worker, session, lease)))
                await eventually(lambda: len(told) > before)  # the slot is the other's
                await other.end()
                assert (await asking)[0] == 200
                assert lease.waited_s == pytest.approx(sum(one.waited_s for one in told))
        finally:
            await supervisor.close()


async def test_an_open_answer_keeps_its_slot_while_another_question_waits(home: Path) -> None:
    model = Model("near", "remote", format="remote")
    vectors = in_turn(whole(503, {}, Retry_After="0"), whole(200, {"data": []}))

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path == CHAT:
            writer.write(CHUNKED + chunk(b"data: {}\n\n"))  # and it is not the end
        else:
            await vectors(asked, writer)

    async with peer(answer) as there, new_session() as session:
        supervisor = supervisor_of(home, f"{there.url}/v1", parallel=1)
        try:
            lease = supervisor.lease(Claim(model))
            async with lease as worker, asyncio.timeout(20):
                up = Upstream(worker, session, lease)
                other = Holder(supervisor, model)
                await eventually(lambda: other.ticket is not None)
                async with up.generate(CHAT, raw(messages=HELLO)) as response:
                    assert await response.piece()
                    found = await up.ask(Verb.EMBED, "/v1/embeddings", {"input": "a"})
                    assert (found, other.worker) == ({"data": []}, None)
            await (await other.began()).end()
        finally:
            await supervisor.close()


# ── what it can be asked besides ────────────────────────────────────────────


async def test_llama_servers_tokens_are_asked_for_at_the_root() -> None:
    async with reached(in_turn(whole(200, {"tokens": [1, 2]})), model="near") as (there, up):
        assert await up.tokenise("xin chào") == [1, 2]
        assert there.asked[0].path == "/tokenize"
        assert there.asked[0].body["content"] == there.asked[0].body["prompt"] == "xin chào"
        assert there.asked[0].body["add_special_tokens"] is True


async def test_vllms_tokens_are_told_as_llama_servers() -> None:
    vllms = {"count": 2, "max_model_len": 8, "tokens": [5, 6], "token_strs": ["xin", " chào"]}
    async with reached(in_turn(whole(200, vllms))) as (there, up):
        asked = {"content": "xin chào", "with_pieces": True}
        found = await up.ask(Verb.TOKENISE, "/tokenize", asked)
        assert found["tokens"] == [{"id": 5, "piece": "xin"}, {"id": 6, "piece": " chào"}]
        assert there.asked[0].body["return_token_strs"] is True


async def test_a_chat_is_counted_by_vllm_where_there_is_no_call_for_it() -> None:
    vllms = {"count": 11, "max_model_len": 8, "tokens": [1] * 11}
    async with reached(in_turn(whole(404, {}), whole(200, vllms))) as (there, up):
        path = "/v1/chat/completions/input_tokens"
        assert await up.ask(Verb.TOKENISE, path, raw(messages=HELLO)) == {"input_tokens": 11}
        assert there.paths() == ["/v1/chat/completions/input_tokens", "/tokenize"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {}),
        (404, {"detail": "Not Found"}),
        (404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}),
        (405, {"error": {"message": "Method Not Allowed"}}),
    ],
)
async def test_a_server_that_cannot_tokenise_is_said_to_be_one(status: int, body: Any) -> None:
    async with reached(in_turn(whole(status, body))) as (there, up):
        with pytest.raises(EngineRefused, match="another server") as error:
            await up.tokenise("a")
        with pytest.raises(NotSupported, match="another server"):
            await up.tokenise("b")
    assert error.value.status == 501
    assert len(there.asked) == 1  # it is not asked for what it was found not to have


async def test_a_model_that_is_not_there_makes_no_call_missing() -> None:
    error = {"message": "The model `near` does not exist.", "type": "NotFoundError", "code": 404}
    answers = in_turn(whole(404, {"error": error}), whole(200, {"tokens": [1]}))
    async with reached(answers) as (_, up):
        with pytest.raises(EngineRefused, match="does not exist") as refused:
            await up.tokenise("a")
        assert refused.value.status == 404
        assert await up.tokenise("a") == [1]


# ── where it may be, and with what key ──────────────────────────────────────


async def test_a_name_is_judged_by_the_address_it_leads_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peer(in_turn(whole(200, OK))) as there, Session() as session:
        port = there.url.rpartition(":")[2]
        url = f"http://localhost:{port}/x"
        async with await session.get(url, {}) as response:
            assert response.status == 200

        async def elsewhere(*_: Any, **__: Any) -> list[Any]:
            return [(2, 1, 6, "", ("192.0.2.7", int(port)))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", elsewhere, raising=False)
        with pytest.raises(EgressRefused, match=r"leads to 192\.0\.2\.7"):
            await session.get(url, {})


SECRET = "sk-nobody-may-read-this"


async def test_a_key_is_sent_and_told_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with reached(
        in_turn(whole(401, {"error": {"message": "no"}}), None), api_key=SECRET, retries=0
    ) as (there, up):
        async with up.generate("/v1/chat/completions", raw(messages=HELLO)) as response:
            refused = up.refusal(response, await response.read())
        with pytest.raises(UpstreamFailed) as gone:
            await said(up)
        told = [str(refused), str(gone.value), repr(up.worker.launch), caplog.text]
        told += [repr(up.worker.reach), json.dumps(up.worker.facts())]
        assert there.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
        assert not [one for one in told if SECRET in one]
