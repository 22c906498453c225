"""The arithmetic of a token, by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from noibo.engines.fit.ask import Ask, of_model
from noibo.engines.fit.work import work_of
from noibo.modelstore.gguf.state_shape import LayerState
from tests.engines.fit.small_headers import header, model

TABLE, UP = 512 * 1000, 512 * 1000  # weights


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    return of_model(model(tmp_path))


def test_every_query_head_computes_with_every_token_before(ask: Ask) -> None:
    near, far = work_of(ask, 1000), work_of(ask, 3000)
    assert near and far
    a_token = 4 * 2 * 8 * (64 + 64)  # layers, operations, query heads (not the 2 of keys), lengths
    assert far.flops - near.flops == pytest.approx(2000 * a_token)
    assert far.prompt - near.prompt == pytest.approx(
        1000 * a_token
    )  # on average half of it lies before


def test_a_prompt_token_is_not_scored_and_a_written_one_is(ask: Ask) -> None:
    work = work_of(ask, 0)
    assert work is not None
    assert work.flops == pytest.approx(
        2 * (TABLE + UP), rel=0.01
    )  # the table scores too: it is tied
    assert work.prompt == pytest.approx(2 * UP, rel=0.01)


def test_weights_are_read_once_for_all_and_state_for_each(ask: Ask) -> None:
    one, four = work_of(ask, 1000), work_of(ask, 1000, 4)
    assert one and four
    assert four.weights == one.weights == pytest.approx(2 * (TABLE + UP), rel=0.01)
    assert one.state == 4 * 2 * (2 * 64) * 2 * 1000  # layers, keys and values, heads, f16
    assert four.state == 4 * one.state
    rounded = work_of(dataclasses.replace(ask, kv_type="q8_0"), 1000)
    assert rounded and rounded.state == one.state * 34 // 64


def test_a_window_is_all_that_is_seen(ask: Ask, tmp_path: Path) -> None:
    info = ask.model.info
    assert info is not None
    states = (LayerState(3, 128, 128, window=512), LayerState(1, 128, 128))
    windowed = dataclasses.replace(info, state=states)
    ask = dataclasses.replace(ask, model=dataclasses.replace(ask.model, info=windowed))
    work = work_of(ask, 4096)
    assert work and work.state == (3 * 512 + 4096) * 256 * 2


def test_a_latent_state_is_read_and_its_values_are_computed(tmp_path: Path) -> None:
    facts = {"attention__head_count_kv": 1, "attention__key_length_mla": 64}
    gguf = header("deepseek2", **facts, attention__key_length=576)
    work = work_of(of_model(model(tmp_path, gguf)), 100)
    assert work and work.state == 4 * 576 * 2 * 100
    plain = work_of(of_model(model(tmp_path, gguf)), 0)
    assert plain and work.flops - plain.flops == 100 * 4 * 2 * 8 * (576 + 64)


def test_of_many_experts_few_are_met_by_one_and_more_by_many(tmp_path: Path) -> None:
    facts = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 8}
    ask = of_model(model(tmp_path, header("qwen3moe", **facts)))
    one, four, crowd = (work_of(ask, 0, callers) for callers in (1, 4, 500))
    assert one and four and crowd
    whole = 2 * (TABLE + UP)
    in_experts = 2 * 3 * 8 * 512 * 4 * 8
    assert one.weights == pytest.approx(whole - in_experts * 6 / 8, rel=0.02)
    assert one.weights < four.weights < crowd.weights
    assert crowd.weights == pytest.approx(whole, rel=0.01)


def test_active_parameters_that_a_catalogue_says_count(ask: Ask) -> None:
    half = dataclasses.replace(ask, active=(TABLE + UP) // 2)
    work, plain = work_of(half, 0), work_of(ask, 0)
    assert work and plain and work.weights == pytest.approx(plain.weights / 2, rel=0.01)
    assert work_of(dataclasses.replace(ask, active=TABLE + UP), 0) == plain


def test_of_nothing_nothing_is_said(tmp_path: Path) -> None:
    bare = dataclasses.replace(model(tmp_path), info=None, parameters=0)
    assert work_of(of_model(bare), 100) is None
    sized = dataclasses.replace(bare, parameters=1_000_000)
    work = work_of(of_model(sized), 100)
    assert work and work.weights == sized.bytes
    assert work.state == 0
