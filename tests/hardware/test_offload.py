"""Which GPUs the engine can use, and the command for one that it cannot."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest

from noibo import hardware, serving
from noibo.hardware.machine import Gpu
from noibo.hardware.offload import (
    Device,
    Usable,
    advice,
    ask_engine,
    read_devices,
    unused,
    vendors,
)
from noibo.settings import load

GIB = 2**30
CARD = Gpu("NVIDIA GeForce RTX 3090", "nvidia", 24 * GIB)
CUDA = """ggml_cuda_init: found 1 CUDA devices:
[["CUDA0", "NVIDIA GeForce RTX 3090", "GGML_BACKEND_DEVICE_TYPE_GPU", 25438126080, 25000000000],
 ["CPU", "a processor", "GGML_BACKEND_DEVICE_TYPE_CPU", 0, 0]]"""


def test_the_installed_engine_answers() -> None:
    found = ask_engine()
    assert (found.problem, found.code) == ("", 0)


def test_an_engine_that_dies_without_a_word_is_a_problem(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -ILL $$\n")
    python.chmod(0o755)
    found = ask_engine(str(python))
    assert found.code == -signal.SIGILL
    assert found.problem and not found.devices


def test_gpus_are_told_from_processors_whatever_a_driver_writes_before() -> None:
    found = read_devices(CUDA.replace("\n [", " ["))
    assert found.devices == (Device("CUDA0", CARD.name, 25438126080, 25000000000),)


VULKAN = """[["Vulkan0", "AMD Radeon 780M (RADV PHOENIX)", "GGML_BACKEND_DEVICE_TYPE_IGPU", 16, 15],
 ["Vulkan1", "NVIDIA GeForce RTX 3090", "GGML_BACKEND_DEVICE_TYPE_GPU", 24, 23]]"""


def test_a_gpu_within_a_processor_counts_where_there_is_no_other_as_llama_cpp_has_it() -> None:
    text = VULKAN.replace("\n", "")
    assert [one.name for one in read_devices(text).devices] == ["Vulkan1"]
    (inside,) = read_devices(text.partition('["Vulkan1"')[0].rstrip(", ") + "]").devices
    assert (inside.name, inside.integrated) == ("Vulkan0", True)


@pytest.mark.parametrize(
    ("name", "description", "vendor"),
    [
        ("CUDA0", "NVIDIA GeForce RTX 3090", "nvidia"),
        ("ROCm0", "gfx1100", "amd"),
        ("Vulkan0", "AMD Radeon RX 7900 XTX (RADV NAVI31)", "amd"),
        ("Vulkan0", "Intel(R) Arc(tm) A770 Graphics (DG2)", "intel"),
        ("MTL0", "Apple M2", "apple"),
    ],
)
def test_whose_gpus_can_be_used(name: str, description: str, vendor: str) -> None:
    assert vendors(Usable((Device(name, description),))) == {vendor}


@pytest.mark.parametrize("text", ["", "[]]", "hello", "{}", '[["x"]]', "[1]", "null"])
def test_an_answer_that_is_none_is_a_problem_or_no_device(text: str) -> None:
    found = read_devices(text)
    assert found.devices == ()


@pytest.mark.parametrize(
    ("gpu", "command"),
    [
        (CARD, "noibo engines install cuda"),
        (Gpu("Radeon RX 7900 XTX", "amd", 24 * GIB), "noibo engines install rocm"),
        (Gpu("Intel Arc A770", "intel", 16 * GIB), "noibo engines install vulkan"),
    ],
)
def test_an_idle_gpu_is_told_with_the_command(gpu: Gpu, command: str) -> None:
    said = advice((gpu,), Usable())
    assert gpu.name in said and f"`{command}`" in said


def test_a_gpu_that_is_used_is_not_idle() -> None:
    assert advice((CARD,), Usable((Device("CUDA0", CARD.name),))) == ""


def test_a_gpu_within_a_processor_is_not_worth_another_build() -> None:
    assert unused((Gpu("Intel graphics", "intel", 8 * GIB, shared_memory=True),), Usable()) is None


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that tells of a card, on the path."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    heading = "name, memory.total [MiB], memory.free [MiB], driver_version, mig.mode.current"
    row = "NVIDIA GeForce RTX 3090, 24576, 24000, 570.86.10, [N/A]"
    tool.write_text(f"#!/bin/sh\necho '{heading}'\necho '{row}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("nvidia_smi")
def test_a_server_that_starts_logs_a_gpu_that_lies_idle(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hardware.gpus, "suspected", lambda system: True)
    with caplog.at_level(logging.WARNING):
        serving._tell_of_an_idle_gpu(load())
    assert "There is NVIDIA GeForce RTX 3090" in caplog.text
    assert "`noibo engines install cuda`" in caplog.text
