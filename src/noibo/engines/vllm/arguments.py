"""vLLM's command line and environment for one worker. Pure.

Its options have changed their names; which there are goes by its version. The key is no part of
the command line, which other users of the machine can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from noibo.engines.engine import Model, Verb
from noibo.engines.memory.size import Size
from noibo.engines.vllm.lora import served
from noibo.errors import SettingsError
from noibo.model_settings import VllmSettings

MODULE: Final = "vllm.entrypoints.openai.api_server"
KEY_VARIABLE: Final = "VLLM_API_KEY"
TEMPLATE_FILE: Final = "template.jinja"
GUARD: Final = "noibo_guard"  # the module `guard`, as vLLM's Python finds it
MOST_LOGPROBS: Final = 50
RUNNER_SINCE: Final = (0, 10)  # `--runner pooling`; before that `--task embed`
# Options that noibo sets, as it relies on them: `extra` may not say them again.
_OURS: Final = frozenset(
    {"--host", "--port", "--model", "--served-model-name", "--api-key", "--uds", "--root-path"}
    | {"--trust-remote-code", "--ssl-keyfile", "--ssl-certfile", "--middleware", "--config"}
)


@dataclass(frozen=True, slots=True)
class Build:
    """Which vLLM: for `cuda` or `cpu`, of what version, run by which Python."""

    kind: str
    version: str
    python: str

    @property
    def on_gpu(self) -> bool:
        return self.kind != "cpu"

    @property
    def number(self) -> tuple[int, ...]:
        """Of its version, the first two."""
        return tuple(int(one) for one in re.findall(r"\d+", self.version)[:2])


def arguments(
    build: Build, model: Model, size: Size, own: VllmSettings, kv_bytes: int
) -> list[str]:
    """All that stands after `python -m MODULE`, but where it listens. `kv_bytes` is what a
    processor's worker sets aside for conversations. Raises `SettingsError`."""
    said = ["--model", str(model.path), "--served-model-name", model.name]
    said += ["--max-model-len", str(size.context), "--max-num-seqs", str(size.parallel)]
    said += _placed(build, own, kv_bytes)
    said += _loaded(build, own, size)
    said += _adapted(own, model)
    if model.verb is Verb.EMBED:
        newer = build.number >= RUNNER_SINCE
        said += ["--runner", "pooling"] if newer else ["--task", "embed"]
    else:
        said += ["--max-logprobs", str(MOST_LOGPROBS)]
    if model.template:
        said += ["--chat-template", TEMPLATE_FILE]
    return [*said, *_extra(own.extra)]


def _placed(build: Build, own: VllmSettings, kv_bytes: int) -> list[str]:
    """On which processors, and how much of their memory."""
    said = []
    if own.tensor_parallel > 1:
        said += ["--tensor-parallel-size", str(own.tensor_parallel)]
    if own.pipeline_parallel > 1:
        said += ["--pipeline-parallel-size", str(own.pipeline_parallel)]
    if build.on_gpu:
        return [*said, "--gpu-memory-utilization", f"{own.gpu_memory:g}"]
    return [*said, "--kv-cache-memory-bytes", str(kv_bytes)]


def _loaded(build: Build, own: VllmSettings, size: Size) -> list[str]:
    """How weights and conversations are held."""
    said = []
    if own.quantization:
        said += ["--quantization", own.quantization]
    if own.dtype:
        said += ["--dtype", own.dtype]
    kv = own.kv_dtype or ("fp8" if size.kv_type == "q8_0" and build.on_gpu else "")
    if kv:
        said += ["--kv-cache-dtype", kv]
    said += ["--enable-prefix-caching" if own.prefix_caching else "--no-enable-prefix-caching"]
    if own.eager or (own.eager is None and not build.on_gpu):
        said += ["--enforce-eager"]
    return said


def _adapted(own: VllmSettings, model: Model) -> list[str]:
    """Adapters: each is served as a model of its own."""
    paths = {one.stem: str(one) for one in model.adapters} | dict(own.lora)
    found = {served(model.name, name): path for name, path in paths.items()}
    if not found:
        return []
    rank = ["--max-lora-rank", str(own.lora_rank)] if own.lora_rank else []
    named = [f"{name}={Path(path).expanduser()}" for name, path in found.items()]
    return ["--enable-lora", "--max-loras", str(len(found)), *rank, "--lora-modules", *named]


def _extra(said: Sequence[str]) -> Iterator[str]:
    for one in said:
        name = one.partition("=")[0].replace("_", "-")
        # its parser takes the beginning of an option for the whole
        if name.startswith("--") and any(ours.startswith(name) for ours in _OURS):
            raise SettingsError(
                f"vllm.extra: {name} is noibo's to set, or lets a model run its own program.",
                next_step="Leave it out; `vllm serve --help` lists the others.",
            )
        yield one


def caches(folder: Path) -> Mapping[str, str]:
    """Where it keeps what it compiles, which takes minutes: else in its home, and that goes with
    each worker."""
    return {
        "VLLM_CACHE_ROOT": str(folder / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
    }


def variables(build: Build, own: VllmSettings, threads: Sequence[int]) -> Mapping[str, str]:
    """Its environment besides what every worker has. `threads`: processors it may use, where it
    runs on them; several workers of one model share them as vLLM likes."""
    said: dict[str, Any] = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if not build.on_gpu and own.tensor_parallel == 1 and threads:
        said["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, threads))
    return said
