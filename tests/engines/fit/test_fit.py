"""What is said of a model on a machine."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.engine import Model, Verb
from noibo.engines.fit import pace
from noibo.engines.fit.ask import Ask, in_quantisation, of_choice, of_model
from noibo.engines.fit.fit import predict
from noibo.engines.fit.work import Work
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.correction import Correction, Learned
from noibo.errors import UsageError
from noibo.modelstore.catalog import load
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.reference import Reference
from tests.engines.fit.machines import GB, apple, card, machine
from tests.engines.fit.small_headers import header, model
from tests.small_models import small_encoder

MIB = 2**20
CARDS = ((), (card(12),))


def known(name: str, context: int = 4096, parallel: int = 1) -> Ask:
    choice = load().require(Reference.parse(name))
    return of_choice(choice, context=context, parallel=parallel)


@pytest.fixture(scope="module")
def smollm2(smollm2_gguf: Path) -> Ask:
    info, size = inspect_model(smollm2_gguf), smollm2_gguf.stat().st_size
    found = Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192, info=info, bytes=size)
    return replace(of_model(found), context=2048, parallel=4)


# ── memory ──────────────────────────────────────────────────────────────────


def test_memory_is_what_the_worker_s_own_estimate_says(smollm2: Ask) -> None:
    fit = predict(smollm2, machine())
    need = LlamaCpp().need(smollm2.model, smollm2.size, settings.Engine(threads=16))
    assert sum(count for _, count in fit.parts) == need.at_start == fit.ram
    assert dict(fit.parts)["KV cache"] == 30 * 2 * 3 * 64 * 2 * 2048 * 4
    assert fit.memory.low < fit.memory.middle == fit.ram < fit.memory.high


def test_what_idle_conversations_may_take_stands_apart_and_changes_no_verdict(
    smollm2: Ask,
) -> None:
    kept = replace(smollm2, kept_bytes=2 * GB)
    plain, more = predict(smollm2, machine()), predict(kept, machine())
    assert (more.memory, more.ram, plain.kept) == (plain.memory, plain.ram, 0)
    assert more.kept == pytest.approx(2 * GB, rel=0.01)
    assert predict(kept, machine(2)).verdict == predict(smollm2, machine(2)).verdict


def test_the_batch_is_that_of_the_settings_and_of_what_was_measured(smollm2: Ask) -> None:
    slow = replace(smollm2, limits=settings.Engine(threads=1))
    measured = replace(smollm2, rate=20.0)
    batches = [predict(one, machine()).batch for one in (measured, slow, smollm2)]
    assert batches == sorted(set(batches))


def test_each_caller_has_the_whole_context(smollm2: Ask) -> None:
    four, one = (dict(predict(replace(smollm2, parallel=n), machine()).parts) for n in (4, 1))
    assert four["KV cache"] == 4 * one["KV cache"]
    rounded = dict(predict(replace(smollm2, kv_type="q8_0"), machine()).parts)
    assert rounded["KV cache"] * 64 == four["KV cache"] * 34


def test_what_was_learned_corrects_it(smollm2: Ask) -> None:
    plain = predict(smollm2, machine())
    learned = Correction(memory=Learned(1.2, 0.03, 6, 3), decode=Learned(0.5, 0.2, 3, 3))
    fit = predict(smollm2, machine(), learned)
    assert fit.memory.middle == pytest.approx(1.2 * plain.memory.middle)
    assert fit.memory.high == pytest.approx(1.03 * fit.memory.middle)
    assert fit.decode and plain.decode
    assert fit.decode.middle == pytest.approx(plain.decode.middle / 2)


def test_an_encoder_s_slots_share_nothing_that_grows(tmp_path: Path) -> None:
    path = small_encoder().write(tmp_path / "e.gguf", "mean")
    info, size = inspect_model(path), path.stat().st_size
    ask = of_model(Model("e", "llama_cpp", path, info.parameters, 64, info=info, bytes=size))
    assert ask.model.verb is Verb.EMBED
    few, many = (predict(replace(ask, parallel=n), machine()) for n in (1, 8))
    assert dict(few.parts)["KV cache"] == dict(many.parts)["KV cache"] == 0
    assert few.memory == many.memory
    assert few.decode is None
    assert few.prefill is not None
    assert "reads" in few.why


@pytest.mark.parametrize("kind", ["Q4_1", "Q4_K"])  # the latter is put into another order
def test_a_projector_and_adapters_count_once(smollm2: Ask, tmp_path: Path, kind: str) -> None:
    info = smollm2.model.info
    assert info is not None
    info = replace(info, matrices={kind: sum(info.matrices.values())})
    smollm2 = replace(smollm2, model=replace(smollm2.model, info=info))
    projector, adapter = tmp_path / "p.gguf", tmp_path / "a.gguf"
    projector.write_bytes(bytes(40 * MIB))
    adapter.write_bytes(bytes(10 * MIB))
    whole = replace(
        smollm2.model,
        projector=projector,
        adapters=(adapter,),
        bytes=smollm2.model.bytes + 50 * MIB,
    )
    ask = replace(of_model(whole), context=2048, parallel=4)
    more, less = predict(ask, machine()), predict(smollm2, machine())
    parts = dict(more.parts)
    assert (parts["projector"], parts["adapters"]) == (40 * MIB, 10 * MIB)
    assert parts["weights"] == dict(less.parts)["weights"]
    pictures = parts["compute buffers"] - dict(less.parts)["compute buffers"]
    assert more.memory.middle - less.memory.middle == 50 * MIB + pictures


def test_a_projector_that_only_the_ask_tells_of_counts_once() -> None:
    plain = known("qwen2.5:7b")
    more = replace(plain.model, bytes=plain.model.bytes + GB)
    fit = predict(replace(plain, model=more, projector_bytes=GB), machine(64))
    assert fit.memory.middle - predict(plain, machine(64)).memory.middle == GB


def test_a_model_whose_header_cannot_be_read_is_guessed_by_its_size() -> None:
    blind = Model("m", "llama_cpp", bytes=4 * GB, parameters=7_000_000_000)
    fit = predict(of_model(blind), machine())
    assert fit.ask.known == "nothing"
    assert 4.4 * GB < fit.memory.middle < 7 * GB
    assert fit.memory.high > 1.3 * fit.memory.middle
    with pytest.raises(UsageError, match="not known"):
        in_quantisation(of_model(blind), "q8_0")


def test_of_a_model_of_which_nothing_is_known_nothing_good_is_said() -> None:
    fit = predict(of_model(Model("m", "llama_cpp")), machine())
    assert fit.verdict == "does not"
    assert fit.decode is None


# ── a model that is not here ────────────────────────────────────────────────


def test_a_model_of_the_catalogue_is_reckoned_from_its_layers() -> None:
    fit = predict(known("qwen2.5:7b", 8192, 2), machine())
    assert fit.ask.known == "shape"
    assert dict(fit.parts)["KV cache"] == 28 * 2 * 4 * 128 * 2 * 8192 * 2
    assert fit.ask.model.bytes == pytest.approx(4.68 * GB, rel=0.02)  # as the real file is


def test_a_shape_says_what_the_real_file_s_header_says(smollm2: Ask) -> None:
    reckoned = in_quantisation(known("smollm2:135m", 2048, 4), "q4_1")
    a, b = (dict(predict(one, machine()).parts) for one in (reckoned, smollm2))
    assert a["KV cache"] == b["KV cache"]
    assert a["weights"] == pytest.approx(b["weights"], rel=0.15)
    assert a["process and vocabulary"] == pytest.approx(b["process and vocabulary"], rel=0.1)


def test_quantisations_are_read_as_people_type_them() -> None:
    ask = known("qwen2.5:7b")
    assert in_quantisation(ask, "q8_0").quantisation == "Q8_0"
    assert in_quantisation(ask, "Q5_K_M") == in_quantisation(ask, "q5-k-m")
    assert in_quantisation(ask, "fp16").model.bytes == pytest.approx(2 * 7_615_616_512)
    with pytest.raises(UsageError, match="no quantisation"):
        in_quantisation(ask, "tiny")


def test_every_model_of_the_catalogue_can_be_asked_for() -> None:
    catalog, far = load(), []
    for one in catalog.models:
        choice = catalog.require(Reference.parse(one.name))
        fit = predict(of_choice(choice, parallel=1), machine(2000))
        if choice.api_only:
            assert (fit.verdict, fit.memory.middle, fit.advice) == ("API only", 0, ())
            continue
        assert fit.verdict == "runs well" or "slower" in fit.why, one.name
        weights = fit.ask.model.bytes
        if not weights < fit.memory.middle < 2.5 * weights + 4 * GB:
            far.append((one.name, weights, fit.memory.middle))
    assert not far


# ── speeds ──────────────────────────────────────────────────────────────────


def test_a_token_takes_as_long_as_its_bytes_are_read() -> None:
    ask = known("llama3:8b")
    fit = predict(ask, machine(32, flops=1e15))
    read = ask.model.bytes * (1 - 4096 * 128_256 / 8.03e9) + 0.54 * GB  # weights, and state
    assert fit.decode and fit.decode.middle == pytest.approx(0.8 * 50e9 / read, rel=0.06)
    assert fit.decode_first and fit.decode_first.middle > fit.decode.middle
    twice = predict(ask, machine(32, flops=1e15, bandwidth=100e9))
    assert twice.decode and twice.decode.middle == pytest.approx(2 * fit.decode.middle, rel=0.06)


def test_a_machine_of_which_speeds_are_not_known_has_unknown_speeds() -> None:
    fit = predict(known("qwen2.5:7b"), machine(32, bandwidth=None, flops=None))
    assert fit.verdict == "runs well"
    assert (fit.prefill, fit.decode, fit.decode_first, fit.together) == (None, None, None, None)
    assert "not known" in fit.why
    half = predict(known("qwen2.5:7b"), machine(32, bandwidth=None))
    assert half.decode is None
    assert half.prefill is not None


def test_callers_at_once_are_slower_each_and_faster_together() -> None:
    one, eight = (predict(known("qwen2.5:7b", 2048, n), machine(64, card(24))) for n in (1, 8))
    assert one.decode_each and eight.decode_each and one.together and eight.together
    assert eight.decode_each.middle < one.decode_each.middle
    assert eight.together > 2 * one.together


def test_what_was_measured_of_this_very_model_counts_most(smollm2: Ask) -> None:
    measured = replace(smollm2, decode=12.0, prefill=100.0)
    fit = predict(measured, machine(), Correction(decode=Learned(3.0)))
    assert fit.decode_first and fit.decode_first.middle == pytest.approx(12.0, rel=0.1)
    assert fit.decode_first.high < 1.2 * fit.decode_first.middle
    plain = predict(smollm2, machine())
    assert fit.prefill and plain.prefill and fit.prefill.middle != plain.prefill.middle


# ── GPUs ────────────────────────────────────────────────────────────────────


def test_on_a_card_nothing_is_copied_and_little_is_left() -> None:
    fit = predict(known("qwen2.5:7b"), machine(16, card(12)))
    assert fit.verdict == "runs well"
    assert (fit.gpu_layers, fit.offload.whole) == (29, True)
    assert fit.ram < 1 * GB
    assert fit.memory.middle == pytest.approx(fit.ram + fit.offload.devices[0].bytes)
    assert fit.decode and fit.decode.middle > 30


def test_layers_that_do_not_fit_run_beside_the_card_and_slow_it_down() -> None:
    whole = predict(known("qwen2.5:14b"), machine(64, card(16)))
    partly = predict(known("qwen2.5:14b"), machine(64, card(8)))
    none = predict(known("qwen2.5:14b"), machine(64))
    assert whole.decode and partly.decode and none.decode
    assert whole.decode.middle > partly.decode.middle > none.decode.middle
    assert partly.verdict == "tight"
    assert 0 < partly.gpu_layers < 49
    assert partly.ram > whole.ram


def test_shared_memory_is_counted_once() -> None:
    fit = predict(known("llama3:8b"), machine(16, apple(12)))
    assert fit.gpu_layers == 33
    assert fit.ram == pytest.approx(fit.memory.middle)
    assert fit.memory.middle < 6.5 * GB  # once, and not copied into another order
    assert fit.verdict == "runs well"
    too_large = predict(known("llama3:70b"), machine(16, apple(12)))
    assert too_large.verdict == "does not"


def test_a_gpu_inside_a_processor_is_left_alone() -> None:
    inside = dataclasses.replace(apple(16), vendor="intel", name="Iris Xe")
    assert predict(known("llama3:8b"), machine(32, inside)).gpu_layers == 0


def test_the_doubt_of_a_guess_counts_on_a_card_too() -> None:
    ask = known("llama3:8b", 8192)
    fits = [predict(ask, machine(64, card(tenths / 10))) for tenths in range(50, 120)]
    whole = [fit for fit in fits if fit.offload.whole]
    assert (whole[0].verdict, whole[-1].verdict) == ("tight", "runs well")
    assert "may be wanted on RTX 3060" in whole[0].why
    sure = predict(ask, machine(64, card(8.5)), Correction(memory=Learned(1.0, 0.0, 9, 9)))
    unsure = predict(ask, machine(64, card(8.5)), Correction(memory=Learned(1.0, 0.6, 9, 9)))
    assert (sure.verdict, unsure.verdict) == ("runs well", "tight")


def test_a_batch_is_as_large_as_the_card_reads_in_time() -> None:
    beside, on_card = (predict(known("qwen2.5:7b"), machine(64, *cards)) for cards in CARDS)
    assert (beside.batch, on_card.batch) == (8, 512)
    measured = replace(known("qwen2.5:7b"), rate=100.0)
    assert predict(measured, machine(64, card(12))).batch == 32
    half = predict(known("qwen2.5:14b"), machine(64, card(8)))
    assert beside.batch <= half.batch < on_card.batch


def test_a_batch_is_read_no_faster_than_its_weights() -> None:
    work = Work(weights=4 * GB, prompt=1e9)
    parts = [pace.Part(1.0, pace.of_gpu(card(12)))]
    free, small, large = (pace.reading(work, parts, batch) for batch in (0, 8, 1024))
    assert small == pytest.approx(8 * 0.65 * 360e9 / (4 * GB))
    assert free == large == pytest.approx(0.4 * 50e12 / 1e9)
    slow = replace(known("qwen2.5:7b"), rate=20.0)  # as measured: a batch of 8
    fast = predict(known("qwen2.5:7b"), machine(64, card(12)))
    bound = predict(slow, machine(64, card(12)))
    assert bound.prefill and fast.prefill and bound.prefill.middle < fast.prefill.middle


def test_small_files_can_be_placed_too(tmp_path: Path) -> None:
    fit = predict(of_model(model(tmp_path, header())), machine(16, card(4)))
    assert fit.gpu_layers == 5
