"""Command lines for machines with GPUs, which are not here: word by word."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from noibo.engines.engine import Model, Verb
from noibo.engines.memory.size import Size
from noibo.engines.vllm.arguments import Build, arguments, variables
from noibo.errors import SettingsError
from noibo.model_settings import VllmSettings

PYTHON = "/h/engines/vllm/bin/python"
CUDA = Build("cuda", "0.11.2", PYTHON)
CPU = Build("cpu", "0.32.0", PYTHON)
MODEL = Model("qwen3:8b", "vllm", Path("/m/qwen"), format="safetensors")
SIZE = Size(8192, 64)


def said(build: Build, own: VllmSettings, model: Model = MODEL, size: Size = SIZE) -> str:
    return shlex.join(arguments(build, model, size, own, kv_bytes=2**30))


def test_one_gpu() -> None:
    assert said(CUDA, VllmSettings()) == (
        "--model /m/qwen --served-model-name qwen3:8b --max-model-len 8192 --max-num-seqs 64 "
        "--gpu-memory-utilization 0.9 --enable-prefix-caching --max-logprobs 50"
    )


def test_four_gpus_in_two_machines_parts_with_a_rounded_model() -> None:
    own = VllmSettings(
        tensor_parallel=2,
        pipeline_parallel=2,
        quantization="awq",
        gpu_memory=0.85,
        dtype="float16",
        kv_dtype="fp8_e5m2",
        prefix_caching=False,
    )
    assert said(CUDA, own) == (
        "--model /m/qwen --served-model-name qwen3:8b --max-model-len 8192 --max-num-seqs 64 "
        "--tensor-parallel-size 2 --pipeline-parallel-size 2 --gpu-memory-utilization 0.85 "
        "--quantization awq --dtype float16 --kv-cache-dtype fp8_e5m2 --no-enable-prefix-caching "
        "--max-logprobs 50"
    )


@pytest.mark.parametrize("how", ["gptq", "gptq_marlin", "awq_marlin", "fp8"])
def test_every_rounding_is_passed_by_its_name(how: str) -> None:
    own = VllmSettings(quantization=how)  # type: ignore[arg-type]
    assert f"--quantization {how} " in said(CUDA, own)


def test_adapters_are_models_of_their_own() -> None:
    own = VllmSettings(lora={"support": "/l/support", "sql": "/l/sql"}, lora_rank=64)
    assert (
        "--enable-lora --max-loras 2 --max-lora-rank 64 "
        "--lora-modules qwen3:8b-support=/l/support qwen3:8b-sql=/l/sql" in said(CUDA, own)
    )


def test_state_in_half_of_the_memory_is_fp8_on_a_gpu_only() -> None:
    halved = Size(4096, 4, "q8_0")
    assert "--kv-cache-dtype fp8 " in said(CUDA, VllmSettings(), size=halved)
    assert "--kv-cache-dtype" not in said(CPU, VllmSettings(), size=halved)


def test_vectors_by_the_options_name_of_each_version() -> None:
    embeds = Model("e", "vllm", Path("/m/e"), format="safetensors", verb=Verb.EMBED)
    older = Build("cuda", "0.9.2", PYTHON)
    assert said(older, VllmSettings(), embeds).endswith("--task embed")
    assert said(CUDA, VllmSettings(), embeds).endswith("--runner pooling")
    assert "--max-logprobs" not in said(CUDA, VllmSettings(), embeds)


def test_a_processor_gets_bytes_for_state_and_compiles_nothing() -> None:
    assert said(CPU, VllmSettings(), size=Size(4096, 4)) == (
        "--model /m/qwen --served-model-name qwen3:8b --max-model-len 4096 --max-num-seqs 4 "
        "--kv-cache-memory-bytes 1073741824 --enable-prefix-caching --enforce-eager "
        "--max-logprobs 50"
    )
    assert "--enforce-eager" not in said(CPU, VllmSettings(eager=False))
    assert "--enforce-eager" in said(CUDA, VllmSettings(eager=True))


def test_further_options_go_last_word_by_word() -> None:
    own = VllmSettings(extra=("--tool-call-parser", "hermes", "--enable-auto-tool-choice"))
    assert said(CUDA, own).endswith("--tool-call-parser hermes --enable-auto-tool-choice")


@pytest.mark.parametrize(
    "one",
    [
        *["--host", "--port=1", "--api-key", "--trust-remote-code", "--served_model_name"],
        *["--trust-remote", "--trust_rem", "--api", "--mid=x", "--"],  # its parser completes them
    ],
)
def test_what_is_noibos_cannot_be_said_again(one: str) -> None:
    with pytest.raises(SettingsError, match="noibo's to set"):
        said(CUDA, VllmSettings(extra=(one,)))


def test_it_calls_nobody_and_keeps_to_its_processors() -> None:
    found = variables(CPU, VllmSettings(), [0, 2])
    assert found["HF_HUB_OFFLINE"] == found["VLLM_NO_USAGE_STATS"] == "1"
    assert found["VLLM_CPU_OMP_THREADS_BIND"] == "0,2"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in variables(CUDA, VllmSettings(), [0, 2])
    assert "VLLM_CPU_OMP_THREADS_BIND" not in variables(
        CPU, VllmSettings(tensor_parallel=2), [0, 2]
    )
