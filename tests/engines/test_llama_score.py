"""A real scoring worker beside a real chat worker, without a server around them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
from collections.abc import AsyncIterator
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noibo import settings
from noibo.engines.engine import Model, Verb
from noibo.engines.llama_cpp import api
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.llama_cpp.api import Unknown, bind, context_defaults
from noibo.engines.memory.book import Book
from noibo.engines.memory.size import Use
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.modelstore.gguf.model_info import describe
from noibo.modelstore.gguf.reader import read_header

pytestmark = pytest.mark.anyio
CONTEXT = 256
LIMITS = settings.Engine(ctx_size=CONTEXT, parallel=2)
ENGLISH = "The capital of France is Paris, and the capital of Germany is Berlin."
VIETNAMESE = "Hà Nội là thủ đô của Việt Nam, nằm bên bờ sông Hồng."


@dataclass(frozen=True, slots=True)
class Workers:
    """Both workers of one model."""

    score: Upstream
    chat: Upstream


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def workers(
    smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Workers]:
    folder = tmp_path_factory.mktemp("workers")
    engine, tree = LlamaCpp(), settings.Settings(engine=LIMITS, home=folder)
    tuning, book = Tuning(folder / "tuning.json"), Book(folder / "memory.json")
    supervisor = Supervisor({engine.name: engine}, tree, tuning, book)
    info = describe(read_header(smollm2_gguf))
    model = Model("m", engine.name, smollm2_gguf, 134_515_008, 8192, info=info)
    async with (
        new_session() as session,
        supervisor.lease(Claim(engine.serving(model, Verb.SCORE))) as scores,
        supervisor.lease(Claim(model)) as chats,
    ):
        yield Workers(Upstream(scores, session), Upstream(chats, session))
    await supervisor.close()


def fields(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}


async def answer(upstream: Upstream, path: str, **values: Any) -> tuple[int, bytes]:
    async with upstream.generate(path, fields(**values)) as response:
        return response.status, await response.read()


async def scored(workers: Workers, *prompts: str | list[int], **more: Any) -> list[dict[str, Any]]:
    status, said = await answer(workers.score, "/score", prompts=prompts, **more)
    assert status == 200, said
    return sorted((json.loads(line) for line in said.splitlines()), key=lambda one: one["index"])


async def refused(workers: Workers, *prompts: str | list[int]) -> dict[str, Any]:
    status, said = await answer(workers.score, "/score", prompts=prompts)
    assert status == 400
    error: dict[str, Any] = json.loads(said)["error"]
    return error


async def likeliest(workers: Workers, tokens: list[int]) -> list[tuple[int, float]]:
    """The engine's own word: what its server says comes after these tokens."""
    asked = {"prompt": tokens, "n_predict": 1, "temperature": 0, "n_probs": 5}
    _, said = await answer(workers.chat, "/completion", **asked, cache_prompt=False)
    row = json.loads(said)["completion_probabilities"][0]["top_logprobs"]
    return [(one["id"], one["logprob"]) for one in row]


def assert_same(ours: list[list[Any]], theirs: list[tuple[int, float]]) -> None:
    """The same logits: log-probabilities less that of the likeliest. (Its server adds up 49,152
    chances in 32 bits, the smallest last, which makes all of its numbers 0.0002 too high.)"""
    assert [token for token, _ in ours] == [token for token, _ in theirs]
    for (_, our), (_, their) in zip(ours, theirs, strict=True):
        assert abs((our - ours[0][1]) - (their - theirs[0][1])) < 1e-4
        assert abs(our - their) < 5e-4


@pytest.mark.parametrize("text", [ENGLISH, VIETNAMESE], ids=["English", "Vietnamese"])
async def test_scores_are_the_engines_own_logits(workers: Workers, text: str) -> None:
    (line,) = await scored(workers, text, top=5, after=True)
    tokens = line["tokens"]
    assert tokens == await workers.chat.tokenise(text)
    assert line["logprobs"][0] is line["likeliest"][0] is None
    for place in (1, 4, len(tokens) - 1):
        assert_same(line["likeliest"][place], await likeliest(workers, tokens[:place]))
    assert_same(line["after"], await likeliest(workers, tokens))


@pytest.mark.heavy
async def test_what_the_engine_wrote_scores_as_it_said_while_writing(workers: Workers) -> None:
    prompt = await workers.chat.tokenise(ENGLISH)
    asked = {"prompt": prompt, "n_predict": 32, "temperature": 0, "n_probs": 5, "ignore_eos": True}
    _, said = await answer(workers.chat, "/completion", **asked, return_tokens=True)
    written = json.loads(said)
    (line,) = await scored(workers, prompt + written["tokens"], top=5)
    ours = line["likeliest"][len(prompt) :]
    assert len(ours) == len(written["completion_probabilities"]) == 32
    for mine, row in zip(ours, written["completion_probabilities"], strict=True):
        theirs = [(one["id"], one["logprob"]) for one in row["top_logprobs"]]
        assert_same(mine, theirs)
        assert mine[0][1] == max(logprob for _, logprob in mine)


async def test_a_shared_beginning_is_read_once_and_changes_nothing(workers: Workers) -> None:
    question = "Question: Which planet is the largest of all?\nAnswer:"
    choices = [" Mars", " Jupiter", " the planet Saturn", " Venus, of course", " Jupiter"]
    await scored(workers, "Something else entirely.")
    together = await scored(workers, *(question + choice for choice in choices), top=2, after=True)
    length = len(await workers.chat.tokenise(question))
    assert sorted(line["reused"] >= length for line in together) == [False, *[True] * 4]
    for choice, line in zip(choices, together, strict=True):
        await scored(workers, "Nothing in common with it.")
        (alone,) = await scored(workers, question + choice, top=2, after=True)
        assert alone["tokens"] == line["tokens"]
        assert alone["logprobs"][1:] == pytest.approx(line["logprobs"][1:], abs=1e-4)
        assert alone["after"][0] == pytest.approx(line["after"][0], abs=1e-4)
        assert alone["ranks"] == line["ranks"]


async def test_the_next_request_goes_on_where_the_last_one_is_known(workers: Workers) -> None:
    (first,) = await scored(workers, ENGLISH, top=1, after=True)
    (again,) = await scored(workers, ENGLISH, top=1, after=True)
    assert again["reused"] == len(first["tokens"])
    assert {**again, "reused": 0} == {**first, "reused": 0}
    (more,) = await scored(workers, ENGLISH, top=3, after=True)  # more is asked for than is known
    assert more["reused"] == 0
    for row, before in zip(more["likeliest"][1:], first["likeliest"][1:], strict=True):
        assert row[0] == pytest.approx(before[0], abs=1e-4)


async def test_chances_add_up_and_ranks_follow_them(workers: Workers) -> None:
    (line,) = await scored(workers, VIETNAMESE, top=5)
    for token, logprob, rank, row in zip(
        line["tokens"], line["logprobs"], line["ranks"], line["likeliest"], strict=True
    ):
        if row is not None:
            assert [chance for _, chance in row] == sorted((c for _, c in row), reverse=True)
            assert (rank <= 5) == (token in [one for one, _ in row])
            if rank <= 5:
                assert row[rank - 1] == [token, logprob]
            else:
                assert logprob < row[-1][1]


@pytest.mark.heavy
async def test_a_prompt_may_be_as_long_as_the_context_and_no_longer(workers: Workers) -> None:
    (line,) = await scored(workers, [1] * CONTEXT)
    assert len(line["logprobs"]) == CONTEXT
    error = await refused(workers, [1] * (CONTEXT + 1))
    assert error["type"] == "exceed_context_size_error"
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (CONTEXT + 1, CONTEXT)


async def test_ids_that_are_no_tokens_and_empty_prompts_are_refused(workers: Workers) -> None:
    for wrong in (-1, 49152, 2**40):
        assert str(wrong) in (await refused(workers, [1, wrong]))["message"]
    assert "Prompt 1 is empty" in (await refused(workers, ENGLISH, ""))["message"]
    assert "Prompt 0 is empty" in (await refused(workers, []))["message"]
    assert (await scored(workers, [49151, 0]))[0]["logprobs"][0] is None  # and it still lives


@pytest.mark.heavy
async def test_long_prompts_of_one_request_share_what_they_can(workers: Workers) -> None:
    tokens = [1000 + i % 170 for i in range(200)]
    lines = await scored(workers, tokens, [*tokens[:199], 7, 8], [9] * 150, tokens[:100])
    assert [len(line["logprobs"]) for line in lines] == [200, 201, 150, 100]
    assert lines[0]["logprobs"][1:100] == pytest.approx(lines[3]["logprobs"][1:], abs=1e-4)
    assert sum(line["reused"] for line in lines) >= 190 + 98


async def test_a_hang_up_ends_the_work(workers: Workers) -> None:
    many = [[1000 + i, *range(2000, 2200)] for i in range(40)]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(answer(workers.score, "/score", prompts=many), 0.3)
    while await workers.score.busy_slots() != 0:
        await asyncio.sleep(0.02)
    (line,) = await scored(workers, ENGLISH)
    assert len(line["tokens"]) == len(line["logprobs"])


async def test_it_has_a_seat_and_a_size_of_its_own(workers: Workers) -> None:
    score, chat = workers.score.worker, workers.chat.worker
    assert score.model.seat == "m (score)"
    assert (score.slots, chat.slots) == (1, 2)
    assert score.facts()["verb"] == "score"
    assert score.facts()["placement"]["isolation"]["files"] is True
    assert score.launch.need.total < 2 * chat.launch.need.total


def test_a_large_vocabulary_makes_batches_small() -> None:
    fast = settings.Engine(batch_seconds=60)
    model = Model("m", "llama_cpp", parameters=1_000_000, verb=Verb.SCORE)
    size = LlamaCpp().sizes(model, fast, Use(), 0)[0]
    assert LlamaCpp().need(model, size, fast).compute <= 256 * 2**20


def test_a_library_of_another_layout_is_refused_by_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unknown, match="llama_backend_init"):
        bind(find_library("c") or "")
    ours = str(importlib.util.find_spec("xllamacpp.xllamacpp").origin)
    assert context_defaults(bind(ours)).n_batch == 2048
    monkeypatch.setitem(api._DEFAULTS, "type_v", 30)
    with pytest.raises(Unknown, match="type_v is 1"):
        bind(ours)
