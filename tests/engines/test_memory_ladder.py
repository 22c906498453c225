"""How large a worker is wanted, and what is given up when memory is short."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.engine import Model
from noibo.engines.llama_cpp.adapter import LlamaCpp, context_size, slots_for
from noibo.engines.memory.ladder import rungs
from noibo.engines.memory.size import Size, Use
from noibo.modelstore.gguf.model_info import inspect_model

LIMITS = settings.Engine()


@pytest.fixture(scope="module")
def model(smollm2_gguf: Path) -> Model:
    size = smollm2_gguf.stat().st_size
    info = inspect_model(smollm2_gguf)
    return Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192, info=info, bytes=size)


def test_kept_state_goes_first_then_slots_then_exactness_then_length(model: Model) -> None:
    sizes = LlamaCpp().sizes(model, LIMITS, Use(), 100 << 20)
    assert sizes == [
        Size(4096, 4, kept_bytes=100 << 20),
        Size(4096, 4),
        Size(4096, 2),
        Size(4096, 1),
        Size(4096, 1, "q8_0"),
        Size(2048, 1, "q8_0"),
        Size(1024, 1, "q8_0"),
    ]


def test_every_rung_takes_less(model: Model) -> None:
    engine = LlamaCpp()
    for limits in (LIMITS, settings.Engine(ctx_size=700, parallel=7)):
        sizes = engine.sizes(model, limits, Use(), 1 << 20)
        totals = [engine.need(model, size, limits).total for size in sizes]
        assert totals == sorted(set(totals), reverse=True)


def test_a_rung_that_saves_nothing_is_left_out() -> None:
    wanted = Size(4096, 2, kept_bytes=1)
    assert rungs(wanted, 1024, lambda size: size.context, may_round=True) == [
        wanted,
        Size(2048, 1, "q8_0"),
        Size(1024, 1, "q8_0"),
    ]


def test_what_was_set_is_where_it_starts(model: Model) -> None:
    limits = settings.Engine(ctx_size=600, parallel=3, kv_type="q8_0")
    assert LlamaCpp().sizes(model, limits, Use(callers=8, tokens=8000), 0) == [
        Size(600, 3, "q8_0"),
        Size(600, 1, "q8_0"),
    ]


def test_a_model_trained_for_little_goes_down_to_little(model: Model) -> None:
    short = dataclasses.replace(model, trained_context=300)
    assert LlamaCpp().sizes(short, LIMITS, Use(), 0)[-1].context == 300


def test_heads_that_do_not_fit_into_blocks_are_never_rounded(model: Model) -> None:
    assert model.info is not None
    odd = dataclasses.replace(model, info=dataclasses.replace(model.info, value_length=80))
    assert {size.kv_type for size in LlamaCpp().sizes(odd, LIMITS, Use(), 0)} == {"f16"}


def test_slots_follow_the_callers_there_were() -> None:
    slots = [slots_for(Use(callers=callers)) for callers in (0, 1, 2, 5, 8, 40)]
    assert slots == [4, 2, 2, 5, 8, 8]


def test_long_conversations_get_more_context_up_to_what_was_trained() -> None:
    model = Model("m", "llama_cpp", trained_context=20_000)
    tokens = (0, 3000, 3500, 6500, 200_000)
    contexts = [context_size(model, LIMITS, Use(tokens=number)) for number in tokens]
    assert contexts == [4096, 4096, 8192, 16384, 20_000]
    assert context_size(model, settings.Engine(ctx_size=512), Use(tokens=9000)) == 512
