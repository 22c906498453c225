"""Callers against a server that answers well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from noibo.evaluation.answer import Failure, Kind
from noibo.evaluation.calling import Line, Question
from noibo.evaluation.cost import Machine
from noibo.evaluation.load import PROBE_TOKENS, Bench, pause_s
from noibo.evaluation.notes import notes
from noibo.evaluation.page import as_html
from noibo.evaluation.report import as_csv, as_json, reported
from noibo.evaluation.rounds import Plan, Progress
from noibo.evaluation.sides import Dialect, Side
from noibo.evaluation.theirs import found
from noibo.evaluation.wanted import Wanted
from tests.evaluation.badly import KEY, Badly, badly
from tests.evaluation.made import PLACE

pytestmark = [pytest.mark.heavy, pytest.mark.anyio]

PLAN = Plan((1, 3), rounds=2, requests=4, tokens=6, prompt_tokens=60, patience_s=30.0)


@pytest.fixture
async def server() -> AsyncIterator[Badly]:
    async with badly() as running:
        yield running


def side(server: Badly, model: str, **headers: str) -> Side:
    return Side(model, server.url, model, headers)


async def benched(*sides: Side, plan: Plan = PLAN) -> Bench:
    bench = Bench(sides, plan, lambda progress: None)
    await bench.warm_up()
    await bench.measure()
    return bench


def said(bench: Bench) -> set[str]:
    """What is said of the sides; of the bench itself it depends on who else is busy here."""
    return {note.kind for note in notes(bench.standings, bench.plan) if note.side}


async def test_every_side_is_asked_as_often_as_planned_and_by_as_many(server: Badly) -> None:
    bench = await benched(side(server, "well"), side(server, "alias"))
    assert server.most == 3
    for standing in bench.standings:
        for callers, cell in standing.cells.items():
            assert [one.number for one in cell.rounds] == [1, 2]
            assert [len(one.answers) for one in cell.rounds] == [4, 4]
            assert all(one.whole and one.tokens > 0 for one in cell.rounds), callers
    asked = [body for body in server.heard if body["model"] == "well"]
    warm = [body for body in asked if body["max_tokens"] == PROBE_TOKENS]
    assert len(warm) == 2 + 3  # to learn how to ask, and each caller once: in no figure
    assert bench.rounds_done == 2
    assert said(bench) == {"warm_up", "answered_as"}


async def test_sides_take_turns(server: Badly) -> None:
    bench = await benched(side(server, "well"), side(server, "alias"))
    (first, second) = bench.standings
    began = [[one.cells[1].rounds[at].began for one in (first, second)] for at in (0, 1)]
    assert began[0][0] < began[0][1] < began[1][1] < began[1][0]


async def test_prompts_are_as_long_as_asked_and_all_different(server: Badly) -> None:
    bench = await benched(side(server, "well"), side(server, "alias"))
    counted = {answer.prompt_tokens for one in bench.standings for answer in one.answers}
    assert counted == {60}
    prompts = [body["messages"][0]["content"] for body in server.heard]
    assert len(set(prompts)) == len(prompts)


async def test_sides_are_asked_the_same_words_whichever_of_them_counts(server: Badly) -> None:
    bench = await benched(side(server, "uncounted"), side(server, "well"))
    uncounted, well = bench.standings
    assert uncounted.words == well.words
    assert {answer.prompt_tokens for answer in well.answers} == {60}


async def test_by_seconds_every_caller_is_answered_at_least_once(server: Badly) -> None:
    plan = replace(PLAN, requests=None, seconds=0.001, rounds=1)
    bench = await benched(side(server, "well"), plan=plan)
    assert all(len(cell.answers) >= many for many, cell in bench.standings[0].cells.items())


@pytest.mark.parametrize(
    ("model", "note"),
    [("strict", "no_ignore_eos"), ("newest", "no_ignore_eos"), ("uncounted", "by_pieces")],
)
async def test_what_a_server_does_not_take_is_left_out_and_told(
    server: Badly, model: str, note: str
) -> None:
    bench = await benched(side(server, model))
    assert len(bench.standings[0].answers) == 16
    assert not any(cell.failures for cell in bench.standings[0].cells.values())
    assert note in said(bench)


async def test_a_server_that_refuses_only_stream_options_writes_as_long_as_asked(
    server: Badly,
) -> None:
    bench = await benched(side(server, "old"))
    assert bench.standings[0].dialect == Dialect(usage=False)
    assert len(bench.standings[0].answers) == 16


async def test_a_refusal_that_comes_in_pieces_is_read_whole(server: Badly) -> None:
    async with Line(side(server, "halting"), 5.0) as line:
        got = await line.ask(Question("Hi", 4, Dialect()))
    assert isinstance(got, Failure)
    assert got.said == "HTTP 500: half a word"


async def test_thoughts_are_the_first_tokens(server: Badly) -> None:
    bench = await benched(side(server, "thinks"))
    for answer in bench.standings[0].answers:
        assert answer.thought
        assert answer.said_s is not None
        assert answer.first_s < answer.said_s


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("garbage", Kind.GARBAGE),
        ("whole", Kind.GARBAGE),
        ("told", Kind.TOLD),
        ("cut", Kind.BROKE_OFF),
        ("busy", Kind.TOO_MANY),
        ("broken", Kind.SERVER),
        ("elsewhere", Kind.MOVED),
        ("gone", Kind.NOT_FOUND),
        ("locked", Kind.REFUSED),
        ("never", Kind.SILENT),
    ],
)
async def test_a_server_that_never_answers_well_is_out_and_the_other_is_measured(
    server: Badly, model: str, kind: Kind
) -> None:
    plan = replace(PLAN, patience_s=1.5 if model == "never" else 30.0)
    bench = await benched(side(server, model), side(server, "well"), plan=plan)
    bad, good = bench.standings
    assert bad.out is not None
    assert bad.out.kind is kind
    assert not bad.answers
    assert server.asked[model] <= 4  # nobody is flooded
    assert len(good.answers) == 16
    assert "out" in said(bench)


async def test_the_right_key_opens(server: Badly) -> None:
    bench = await benched(side(server, "locked", Authorization=f"Bearer {KEY}"))
    assert len(bench.standings[0].answers) == 16


@pytest.mark.parametrize("model", ["repeats", "tells", "names"])
async def test_a_key_that_a_server_repeats_is_in_no_report(server: Badly, model: str) -> None:
    bench = await benched(side(server, model, Authorization="Bearer sk-hunter2-and-more"))
    made = reported(bench.standings, PLAN, Machine(), PLACE, bench.rounds_done)
    for text in (as_json(made).decode(), as_csv(made), as_html(made)):
        assert "sk-" not in text
    assert f"{'x' * 180} Bearer …" in as_html(made)


async def test_a_key_that_is_listed_as_a_model_is_not_shown(server: Badly) -> None:
    async with Line(side(server, "well", Authorization="Bearer sk-hunter2"), 5.0) as line:
        assert await line.models() == ["Bearer …"]


async def test_a_kept_connection_that_the_server_closes_is_no_failure(server: Badly) -> None:
    bench = await benched(side(server, "once"))
    assert len(bench.standings[0].answers) == 16
    assert not any(cell.failures for cell in bench.standings[0].cells.values())


async def test_a_server_that_is_just_starting_is_asked_again(server: Badly) -> None:
    bench = await benched(side(server, "starting"))
    assert len(bench.standings[0].answers) == 16


async def test_single_failures_are_counted_beside_the_answers(server: Badly) -> None:
    plan = replace(PLAN, concurrency=(1,), requests=9)
    bench = await benched(side(server, "sometimes"), plan=plan)
    (cell,) = bench.standings[0].cells.values()
    assert cell.given_up is None
    assert {failure.kind for failure in cell.failures} == {Kind.SERVER}
    assert len(cell.answers) + len(cell.failures) == 18
    assert len(cell.answers) >= 11


async def test_a_server_that_dies_midway_leaves_what_was_measured() -> None:
    async with badly() as dying, badly() as well:
        plan = replace(PLAN, rounds=4, patience_s=10.0)
        bench = await benched(side(dying, "dies"), side(well, "well"), plan=plan)
    died, lived = bench.standings
    assert died.answers
    assert died.out is not None
    assert died.out.kind is Kind.UNREACHABLE
    assert {f.kind for cell in died.cells.values() for f in cell.failures} > {Kind.UNREACHABLE}
    assert len(lived.answers) == 32


async def test_a_bench_that_is_stopped_keeps_what_it_has(server: Badly) -> None:
    heard: list[Progress] = []
    bench = Bench([side(server, "well")], replace(PLAN, requests=None, seconds=60), heard.append)
    await bench.warm_up()
    task = asyncio.create_task(bench.measure())
    while not (heard and heard[-1].answered >= 3):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    one = bench.standings[0].cells[1].rounds[0]
    assert len(one.answers) >= 3
    assert not one.whole
    assert one.busy_until > one.began
    assert bench.rounds_done == 0


async def test_nobody_listens(server: Badly) -> None:
    await server.stop()
    async with Line(side(server, "well"), 5.0) as line:
        got = await line.models()
    assert isinstance(got, Failure)
    assert got.kind is Kind.UNREACHABLE


async def test_a_model_must_be_named_where_there_are_several(server: Badly) -> None:
    from noibo.errors import UsageError

    with pytest.raises(UsageError, match=r"2 models: well, un\\x1bsafe"):
        await found(Wanted(server.url).side({}))
    named = await found(Wanted(server.url, "well").side({}))
    assert named.name.startswith("well @ 127.0.0.1:")


async def test_a_caller_waits_longer_after_each_failure_or_as_it_is_told() -> None:
    plain, told = Failure(Kind.SERVER, ""), Failure(Kind.TOO_MANY, "", retry_after_s=2.0)
    assert [pause_s(plain, misses) for misses in (1, 2, 3, 99)] == [0.25, 0.5, 1.0, 5.0]
    assert pause_s(told, 5) == 2.0
    assert pause_s(replace(told, retry_after_s=900.0), 1) == 5.0
