"""What other engines than llama.cpp run is as large as they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Engine, Model, Verb
from noibo.engines.fit.ask import in_quantisation, of_model
from noibo.engines.fit.fit import predict
from noibo.engines.hosted.adapter import Transformers
from noibo.engines.hosted.openvino_adapter import OpenVino
from noibo.engines.llama_server.adapter import LlamaServer
from noibo.engines.lookup import ECHO
from noibo.engines.memory.correction import Correction, Learned
from noibo.engines.memory.size import Use
from noibo.errors import EngineMissing, NotSupported, UsageError
from noibo.model_settings import VllmSettings
from tests.engines.fit.machines import card, machine
from tests.engines.fit.small_headers import model as small_gguf
from tests.engines.fit.test_fit import known
from tests.engines.hosted.test_hosted_adapters import ENCODER, WRITER, folder
from tests.engines.vllm.test_adapter import engine as vllm

LIMITS = settings.Engine(ctx_size=4096)
GB = 10**9


def checkpoint(path: Path, config: object = WRITER, size: int = 3 * GB) -> Model:
    return Model("small", "", folder(path, config), size // 2, 8192, "safetensors", bytes=size)


def test_it_is_as_large_as_noibo_would_reserve(tmp_path: Path) -> None:
    writer, encoder = checkpoint(tmp_path / "w"), checkpoint(tmp_path / "e", ENCODER)
    cases: list[tuple[Engine, Model]] = [
        (Transformers(), writer),
        (vllm(tmp_path, "cpu"), writer),
        (OpenVino(), replace(encoder, verb=Verb.EMBED)),
    ]
    for engine, one in cases:
        ask = of_model(one, LIMITS, engine=engine)
        wanted = engine.sizes(one, LIMITS, Use(), 0)[0]
        fit = predict(ask, machine(64), Correction(memory=Learned(1.2, 0.03, 6, 3)))
        need = engine.need(one, wanted, LIMITS)
        assert (ask.size, ask.known) == (wanted, "engine")
        assert fit.ram == round(1.2 * need.at_start) + need.kept
        assert sum(count for _, count in fit.parts) == need.total
        assert fit.memory.high == pytest.approx(1.03 * fit.ram)
        assert (fit.prefill, fit.decode, fit.gpu_layers) == (None, None, 0)
        assert (fit.verdict, predict(ask, machine(3)).verdict) == ("runs well", "does not")


def test_what_cannot_write_is_for_vectors(tmp_path: Path) -> None:
    ask = of_model(checkpoint(tmp_path, ENCODER), LIMITS, engine=OpenVino())
    assert not ask.writes
    with pytest.raises(NotSupported, match="no encoder"):
        of_model(checkpoint(tmp_path / "w"), LIMITS, engine=OpenVino())


def test_weights_that_go_to_gpus_need_room_there(tmp_path: Path) -> None:
    ask = of_model(checkpoint(tmp_path / "m", size=16 * GB), LIMITS, engine=vllm(tmp_path, "cuda"))
    whole, small, none = (
        predict(ask, machine(32, *cards)) for cards in ([card(24)], [card(12)], [])
    )
    assert (whole.verdict, small.verdict, none.verdict) == ("runs well", "does not", "does not")
    assert "takes no more than 10.8 GB" in small.why
    assert dict(whole.parts)["weights on GPUs"] == 16 * GB
    assert dict(whole.parts)["KV cache of one caller"] == 2 * 30 * 192 * 2 * 4096
    assert whole.ram < 5 * GB < whole.memory.middle
    assert predict(ask, machine(32, card(20.5))).verdict == "tight"
    two = predict(ask, machine(32, card(12), card(12)))
    assert two.verdict == "does not" and "vllm.tensor_parallel" in two.why
    divided = replace(ask.model, options={"vllm": VllmSettings(tensor_parallel=2)})
    over_two = predict(replace(ask, model=divided), machine(32, card(12), card(12)))
    assert over_two.verdict == "runs well"


def test_what_is_not_here_is_as_large_as_it_will_be_said_to_be(tmp_path: Path) -> None:
    here = of_model(checkpoint(tmp_path / "m", size=9 * GB), LIMITS, engine=vllm(tmp_path, "cuda"))
    plain = known("qwen3:14b", 4096)
    model = replace(plain.model, engine="vllm", bytes=9 * GB)
    there = replace(plain, model=model, elsewhere=True)
    on_card, before = (predict(one, machine(32, card(24))) for one in (here, there))
    assert (before.ram, before.verdict) == (on_card.ram, on_card.verdict)
    assert [name for name, _ in before.parts] == [name for name, _ in on_card.parts]
    assert dict(before.parts)["KV cache of one caller"] == 40 * 2 * 8 * 128 * 2 * 4096
    beside = predict(there, machine(32))
    assert 10 * GB < beside.ram < 14 * GB
    assert in_quantisation(there, "Q4_K_M").model.engine == "llama_cpp"


def test_a_shorter_context_is_advised_and_nothing_that_only_llama_cpp_does(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "m", size=GB)
    limits = settings.Engine(ctx_size=8192, parallel=64)
    fit = predict(of_model(one, limits, engine=vllm(tmp_path, "cpu")), machine(16))
    assert fit.verdict == "does not"
    assert any(line.startswith("`--parallel") for line in fit.advice)
    assert not any("--kv" in line or "--quant" in line for line in fit.advice)
    with pytest.raises(UsageError, match="run by vllm"):
        in_quantisation(fit.ask, "q8_0")


def test_an_engine_that_is_missing_says_how_it_is_installed(tmp_path: Path) -> None:
    from noibo.engines.vllm.adapter import Vllm

    with pytest.raises(EngineMissing, match="not installed"):
        of_model(checkpoint(tmp_path), LIMITS, engine=Vllm(lambda: None))


def test_a_llama_server_is_reckoned_as_llama_cpp(tmp_path: Path) -> None:
    ask = of_model(small_gguf(tmp_path), LIMITS, engine=LlamaServer("/nowhere"))
    assert (ask.engine, ask.known) == (None, "header")


def test_what_has_no_weights_takes_next_to_nothing() -> None:
    fit = predict(of_model(ECHO, engine=Echo()), machine(4))
    assert fit.verdict == "runs well"
    assert "no weights" in fit.why
    assert 0 < fit.memory.middle < GB / 10
    assert [name for name, _ in fit.parts] == ["process"]
