"""What is told of GPUs, by placements as llama.cpp's log gives them; there is none here."""

from __future__ import annotations

import pytest

from noibo.engines.memory.placement import placed
from noibo.hardware.machine import Gpu
from noibo.llm_service.info import GB, graphics

CARD = Gpu("NVIDIA GeForce RTX 4090", "nvidia", 24 * GB)
ON_CUDA = placed(
    [
        "load_tensors: offloaded 25/25 layers to GPU",
        "load_tensors:   CPU_Mapped model buffer size =   586.82 MiB",
        "load_tensors:        CUDA0 model buffer size = 10949.38 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =   768.00 MiB",
        "llama_context:       CUDA0 compute buffer size =   398.38 MiB",
        "llama_context:  CUDA_Host  output buffer size =     0.77 MiB",
    ]
)


def test_memory_on_a_gpu_is_what_the_engine_put_there() -> None:
    info = graphics(ON_CUDA, (CARD,))
    assert info["gpu_name"] == CARD.name
    assert info["gpu_memory_allocated"] == pytest.approx((10949.38 + 768 + 398.38) / 1024, 0.001)
    assert (info["gpu_memory_total"], info["gpu_unused"]) == (24.0, "")
    assert "CUDA0" in info["device"]


def test_a_gpu_nobody_knows_goes_by_the_engines_name() -> None:
    assert graphics(ON_CUDA, ())["gpu_name"] == "CUDA0"


def test_a_gpu_that_lies_idle_comes_with_the_command() -> None:
    on_cpu = placed(["load_tensors:   CPU_Mapped model buffer size =   586.82 MiB"])
    info = graphics(on_cpu, (CARD,))
    assert "noibo engines install cuda" in info["gpu_unused"]
    assert info["gpu_name"].startswith("none")
    assert info["gpu_memory_allocated"] == 0.0


def test_without_a_gpu_there_is_nothing_to_say() -> None:
    info = graphics({"device": "cpu"}, ())
    assert (info["gpu_unused"], info["gpu_memory_total"], info["device"]) == ("", 0, "cpu")
    assert graphics({}, ())["device"] == "none"


def test_before_a_model_is_loaded_the_gpus_are_those_there_are() -> None:
    info = graphics({}, (CARD,))
    assert (info["gpu_name"], info["gpu_memory_allocated"]) == (CARD.name, 0.0)
    assert graphics({"device": "cpu"}, (CARD,))["gpu_name"].startswith("none")
    assert graphics({}, ())["gpu_name"].startswith("none")
