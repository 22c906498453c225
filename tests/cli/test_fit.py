"""`noibo fit`: what is printed, of what is here, of a file, of the catalogue."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from noibo.cli.fit_asked import _folder
from noibo.cli.main import app
from noibo.engines.fit.speeds import Seen
from noibo.engines.fit.this_machine import FILE_NAME, Found
from noibo.engines.hosted.adapter import Transformers
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.book import Book
from noibo.engines.memory.size import Need, Use
from noibo.errors import (
    BadModelFile,
    EngineMissing,
    ModelNotFound,
    ModelPathNotFound,
    NoiboError,
    UnknownModel,
    UsageError,
)
from noibo.hardware.offload import Usable
from noibo.modelstore.store import Store
from noibo.settings import Engine
from tests.engines.fit.machines import machine
from tests.engines.fit.small_headers import header
from tests.engines.hosted.test_hosted_adapters import WRITER
from tests.engines.hosted.test_lookup_of_checkpoints import checkpoint
from tests.modelstore.gguf_builder import STRING, Gguf


@pytest.fixture
def measured(home: Path) -> Path:
    """A home in which the machine was measured a moment ago: that takes seconds."""
    import time

    home.mkdir()
    found = Found(time.time(), LlamaCpp().build(), machine(16), Usable())
    (home / FILE_NAME).write_bytes(msgspec.json.encode(found))
    return home


def run(*arguments: str) -> str:
    """What `noibo fit` prints. Raises what it raises."""
    result = CliRunner().invoke(app, ["fit", *arguments], env={"COLUMNS": "100"})
    if result.exception is not None and isinstance(result.exception, NoiboError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


@pytest.mark.parametrize("asked", ["all-minilm", "deepseek-r1:671b", "qwen2.5:0.5b"])
def test_large_numbers_have_no_powers_of_ten(measured: Path, asked: str) -> None:
    said = run(asked, "--hardware", "8x H100, 2TB")
    assert "e+" not in said
    assert " billion parameters" in said and " tokens/s " in said


def test_cards_of_one_kind_stand_once_and_those_without_a_part_not_at_all(measured: Path) -> None:
    said = run("qwen2.5:0.5b", "--hardware", "8x H100, 2TB")
    assert "; on 8x H100 80 GB, 8 cores" in said
    assert said.count("  on H100") == 1


def test_a_file_is_told_of_by_part(measured: Path, smollm2_gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.symlink_to(smollm2_gguf)
    said = run(str(file), "--context", "2048", "--parallel", "4")
    for words in (
        "model.gguf, Q4_1, 0.135 billion parameters, by its file's header",
        "4 callers with 2,048 tokens each, KV f16",
        "weights",
        "KV cache                    189 MB",
        "runs well: it fits, and writes about",
        "Memory: nothing was measured here yet.",
    ):
        assert words in said
    rounded = told(str(file), "--context", "2048", "--parallel", "4", "--kv", "q8_0")
    plain = told(str(file), "--context", "2048", "--parallel", "4")
    assert rounded["parts_bytes"]["KV cache"] * 64 == plain["parts_bytes"]["KV cache"] * 34
    assert plain["decode_tokens_per_s"]["low"] < plain["decode_tokens_per_s"]["middle"]


def test_a_model_that_is_here_is_found_by_its_name(
    measured: Path, model_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_STORE_PATH", str(model_store))
    found = told("smollm2:135m")
    assert (found["known_by"], found["quantisation"]) == ("header", "Q4_1")
    assert (found["context"], found["parallel"]) == (4096, 4)  # as noibo would load it
    monkeypatch.setenv("NOIBO_ENGINE_PARALLEL", "2")
    assert told("smollm2:135m")["parallel"] == 2


def test_a_model_that_is_not_here_is_reckoned(measured: Path) -> None:
    found = told("qwen2.5:7b", "--quant", "q8_0", "--parallel", "1")
    assert (found["known_by"], found["quantisation"]) == ("shape", "Q8_0")
    assert found["parameters"] == 7_615_616_512
    assert found["memory_bytes"]["middle"] > 8e9
    assert told("gpt-4o")["verdict"] == "API only"
    assert "API only" in run("gpt-4o")


def test_another_machine_can_be_described(measured: Path) -> None:
    found = told("qwen2.5:7b", "--hardware", "RTX 3060 12GB, 32GB")
    assert found["gpu_layers"] == 29
    assert found["gpus"][0]["layers"] == 28
    said = run("qwen2.5:7b", "--hardware", "RTX 3060 12GB, 32GB")
    assert "on RTX 3060" in said
    assert "28 of 28 layers" in said


def test_advice_is_printed(measured: Path) -> None:
    said = run("llama3:8b", "--context", "8192", "--parallel", "8")
    assert "does not: " in said or "tight: " in said
    assert "- `--kv q8_0`: " in said


def test_the_budget_of_the_settings_holds(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("qwen2.5:7b", "--parallel", "1")
    assert told(*asked)["verdict"] != "does not"
    monkeypatch.setenv("NOIBO_MEMORY_BUDGET", "4GB")
    assert told(*asked)["verdict"] == "does not"


def test_what_was_learned_is_applied_and_shown(measured: Path) -> None:
    book = Book(measured / "memory.json")
    for name in ("a", "b"):
        book.measured(name, "llama_cpp", Need(weights=10**9), 11 * 10**8, name)
    found = told("qwen2.5:0.5b")
    assert found["correction"]["memory"]["scale"] == pytest.approx(1.1)
    assert "Memory: x1.100, the middle of what 2 models measured 2 times" in run("qwen2.5:0.5b")
    described = told("qwen2.5:0.5b", "--hardware", "CPU 16GB")
    assert described["correction"]["memory"]["samples"] == 0  # that is another machine


def test_very_many_callers_are_no_reason_to_think_long(measured: Path) -> None:
    found = told("qwen2.5:7b", "--parallel", "1000000")
    assert found["verdict"] == "does not"
    assert any("--parallel" in line for line in found["advice"])


def test_a_speed_of_another_build_is_none_of_this_one(measured: Path, model_store: Path) -> None:
    (measured / "noibo.toml").write_text(f'[store]\npath = "{model_store}"\n')
    rows = {
        build: Seen("smollm2:135m", 1, decode=rate, bytes=10**8, flops=2e8, layers=30, build=build)
        for build, rate in ((LlamaCpp().build(), 7.0), ("xllamacpp of last year", 900.0))
    }
    (measured / "speeds.json").write_bytes(msgspec.json.encode(rows))
    assert told("smollm2:135m")["decode_tokens_per_s"]["middle"] < 8


def test_what_cannot_be_asked_for_is_said(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="qwen9"):
        run("qwen9:1b")
    with pytest.raises(ModelNotFound):
        run(str(tmp_path / "none.gguf"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF\x03\x00\x00\x00\xff\xff")
    with pytest.raises(BadModelFile):
        run(str(broken))
    projector = tmp_path / "projector.gguf"
    gguf = Gguf().key("general.architecture", STRING, "clip").tensor("v.weight", (8, 8))
    projector.write_bytes(gguf.bytes())
    with pytest.raises(UsageError, match="of the kind projector"):
        run(str(projector))
    with pytest.raises(UsageError, match="no quantisation"):
        run("qwen2.5:7b", "--quant", "tiny")


def test_a_model_in_parts_counts_all_of_them(
    measured: Path, smollm2_gguf: Path, tmp_path: Path
) -> None:
    first, second = (tmp_path / f"m-{number:05}-of-00002.gguf" for number in (1, 2))
    first.symlink_to(smollm2_gguf)
    shutil.copyfile(smollm2_gguf, second)
    one = tmp_path / "whole.gguf"
    one.symlink_to(smollm2_gguf)
    parts, whole = (told(str(file))["parts_bytes"] for file in (first, one))
    assert parts["weights"] - whole["weights"] == second.stat().st_size


def test_parts_that_are_missing_are_named_whichever_was_asked_for(
    measured: Path, smollm2_gguf: Path, tmp_path: Path
) -> None:
    first, second, third = (tmp_path / f"m-{number:05}-of-00003.gguf" for number in (1, 2, 3))
    first.symlink_to(smollm2_gguf)
    with pytest.raises(ModelPathNotFound, match=r"m-00002-of-00003.*m-00003-of"):
        run(str(first))
    second.write_bytes(b"no header of its own that says anything")
    third.write_bytes(bytes(1000))
    named = told(str(second))  # the first part says what it is
    assert named["parts_bytes"] == told(str(first))["parts_bytes"]
    with pytest.raises(UsageError, match="number 9 of 3"):
        run(str(tmp_path / "m-00009-of-00003.gguf"))


def test_a_folder_is_what_its_engine_says(measured: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "writer", WRITER)
    found = told(str(path), "--context", "1024", "--hardware", "CPU 16GB")
    assert (found["model"], found["engine"]) == ("writer", "transformers")
    assert (found["known_by"], found["quantisation"]) == ("engine", "float16")
    limits, engine, one = Engine(ctx_size=1024), Transformers(), _folder(path)
    need = engine.need(one, engine.sizes(one, limits, Use(), 0)[0], limits)
    assert found["memory_bytes"]["middle"] == found["ram_bytes"] == need.total
    assert (found["batch"], found["decode_tokens_per_s"]) == (None, None)
    said = run(f"{path}/")
    assert "by what its engine says" in said and "not predicted" in said
    with pytest.raises(BadModelFile, match="no checkpoint"):
        run(f"{tmp_path}/")


def test_a_checkpoint_that_is_here_is_judged_by_its_engine(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    monkeypatch.setenv("NOIBO_STORE_PATH", str(tmp_path / "store"))
    book = Book(measured / "memory.json")
    for name in ("a", "b"):
        book.measured(name, "llama_cpp", Need(weights=10**9), 15 * 10**8, name)
        book.measured(name + "t", "transformers", Need(weights=10**9), 11 * 10**8, name)
    found = told("writer")
    assert (found["engine"], found["parallel"]) == ("transformers", 1)
    assert found["correction"]["memory"]["scale"] == pytest.approx(1.1)
    with pytest.raises(UsageError, match="holds conversations in its own way") as caught:
        run("writer", "--kv", "q8_0")
    assert "--kv f16" in caught.value.next_step
    (measured / "noibo.toml").write_text('[models."writer:latest"]\nengine = "vllm"\n')
    with pytest.raises(EngineMissing) as missing:
        run("writer")
    assert "noibo engines install vllm" in missing.value.next_step


def test_a_name_that_recommend_prints_is_known(measured: Path) -> None:
    found = told("hf.co/Qwen/Qwen3-14B-AWQ", "--hardware", "RTX 4090, 64GB")
    assert (found["quantisation"], found["engine"]) == ("AWQ", "vllm")
    assert (found["known_by"], found["verdict"]) == ("shape", "runs well")
    small = told("hf.co/Qwen/Qwen3-14B-AWQ", "--hardware", "RTX 3060 8GB, 64GB")
    assert small["verdict"] == "does not"
    assert "are wanted on GPUs, and vllm takes no more than" in small["why"]
    with pytest.raises(UnknownModel, match="not known before it is fetched") as caught:
        run("hf.co/acme/new-model")
    assert "noibo pull hf.co/acme/new-model" in caught.value.next_step


def test_what_takes_no_memory_here_has_no_size(measured: Path) -> None:
    found = told("gpt-4o")
    for name in ("memory_bytes", "ram_bytes", "kept_bytes", "gpu_layers", "batch"):
        assert found[name] is None
    echo = told("echo")
    assert (echo["verdict"], echo["engine"]) == ("runs well", "echo")
    assert 0 < echo["ram_bytes"] < 10**8
    said = run("echo")
    assert "no weights" in said and "hosted" not in said


def test_state_that_cannot_be_rounded_is_not_reckoned_so(measured: Path, tmp_path: Path) -> None:
    odd = header(attention__key_length=80, attention__value_length=80)
    file = tmp_path / "odd.gguf"
    file.write_bytes(odd.bytes())
    with pytest.raises(UsageError, match="80 and its values 80") as caught:
        run(str(file), "--kv", "q8_0")
    assert "--kv f16" in caught.value.next_step
    assert told(str(file), "--kv", "f16")["kv_type"] == "f16"


def test_what_is_set_for_one_model_holds_for_it(measured: Path, model_store: Path) -> None:
    (measured / "noibo.toml").write_text(
        f'[store]\npath = "{model_store}"\n[models."smollm2:135m"]\nctx_size = 1024\nparallel = 3\n'
    )
    found = told("smollm2:135m")
    assert (found["context"], found["parallel"]) == (1024, 3)
    assert told("smollm2:135m", "--parallel", "5")["parallel"] == 5
