"""The vllm engine: vLLM's own server, in the environment that `noibo engines install vllm` made.

It reads checkpoints (safetensors), rounded ones too (AWQ, GPTQ, FP8), and answers many callers at
once. It is asked in its own words where they differ from llama.cpp's: see `dialect`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.environments.environment import Environment
from noibo.engines.hosted.folder import Folder, files_of
from noibo.engines.hosted.serving import served
from noibo.engines.llama_cpp.adapter import LEAST_CONTEXT, SHORTEST_CONTEXT, context_size, slots_for
from noibo.engines.memory.ladder import rungs
from noibo.engines.memory.size import Need, Size, Use
from noibo.engines.tuning import threads_for
from noibo.engines.vllm.arguments import Build, arguments, caches, variables
from noibo.engines.vllm.dialect import Vllm as Dialect
from noibo.engines.vllm.fields import translate
from noibo.engines.vllm.placed import placed
from noibo.errors import EngineMissing, NotSupported
from noibo.model_settings import VllmSettings
from noibo.wire import body

MIB: Final = 2**20
SLOTS_ON_GPU: Final = 64  # it adds requests to a batch as long as their state fits
PROCESS: Final = {"cpu": 1500 * MIB, "cuda": 4000 * MIB}  # its three processes; measured on CPU
BUFFERS: Final = 300 * MIB  # what a step computes in, on a processor; measured
LEAST_STATE: Final = 64 * MIB
COMPILED: Final = "compiled"  # a folder in the environment, which goes with it
_WITH_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')


@dataclass(frozen=True, slots=True)
class _Held:
    """How a checkpoint's numbers lie in memory: bytes a token of state, and of all weights."""

    a_token: int
    weights: int


class Vllm:
    """Checkpoints, by the trusted environment. `environment` is looked at each time."""

    name = "vllm"
    several = True
    foreign = False
    remedy = "Install vLLM for this machine anew: `noibo engines install vllm`."
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NATIVE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def __init__(self, environment: Callable[[], Environment | None]) -> None:
        self._environment = environment

    def serving(self, model: Model, verb: Verb) -> Model:
        """One that writes also scores and tokenises; vectors come of a worker of their own. An
        adapter only writes: its tokens are the model's."""
        if model.adapter and verb in {Verb.SCORE, Verb.EMBED}:
            raise NotSupported(
                f"{model.adapter} is an adapter of {model.name}, and cannot be asked to "
                f"{verb.value}: noibo has vLLM do that with the model itself only.",
                next_step=f"Ask {model.name}.",
            )
        return served(model.base, verb, _folder(model))

    def available(self) -> str:
        found = self._installed()
        return f"{found.package} {found.version} ({found.build})"

    def build(self) -> str:
        return f"{self.available()} {self._installed().trusted_at}"

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        slots = limits.parallel or (SLOTS_ON_GPU if self._build().on_gpu else slots_for(use))
        context = context_size(model, limits, use)
        if model.verb is Verb.EMBED:
            context = min(context, _folder(model).positions or context)
        least = min(LEAST_CONTEXT, max(model.trained_context or context, SHORTEST_CONTEXT))
        return rungs(
            Size(context, slots, limits.kv_type),
            least,
            lambda size: self.need(model, size, limits).total,
            may_round=False,
        )

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        """Of the machine's memory: with a GPU that is its processes alone."""
        build = self._build()
        if build.on_gpu:
            return Need(base=PROCESS["cuda"])
        held = _held(model)
        return Need(held.weights, _state(held, size), BUFFERS, PROCESS["cpu"])

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        build, own = self._build(), _own(model)
        _folder(model)
        compiled = self._compiled(model)
        threads = threads_for(limits.threads)
        placement = {
            "device": "gpu" if build.on_gpu else "cpu",
            "build": self.available(),
            "threads": threads,
            "ctx_size": size.context,
            "parallel": size.parallel,
            "tensor_parallel": own.tensor_parallel,
            "pipeline_parallel": own.pipeline_parallel,
            "quantization": own.quantization,
            "dtype": own.dtype,
        }
        state = _state(_held(model), size)
        config = {
            "alias": model.name,
            "python": build.python,
            "arguments": arguments(build, model, size, own, state),
            "variables": {**variables(build, own, _processors(threads)), **caches(compiled)},
            "template": model.template or "",
            "keeps": [str(compiled)],
        }
        adapters = [*model.adapters, *(Path(one).expanduser() for one in own.lora.values())]
        return Launch(
            "noibo.engines.vllm.process",
            config,
            size,
            self.need(model, size, limits),
            reads=(*(files_of(model.path) if model.path else ()), *adapters),
            runs=tuple(self._programs()),
            placement={name: value for name, value in placement.items() if value != ""},
            dialect=Dialect.of(model),
            talks=True,
        )

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return placed(log, "gpu" if self._build().on_gpu else "cpu")

    def constrain(self, fields: Fields, model: Model) -> None:
        """Its server keeps to response_format, and refuses what it cannot keep to."""
        schema = fields.pop("json_schema", None)
        if schema is not None:
            named = {"name": "answer", "schema": schema, "strict": True}
            fields["response_format"] = body.raw({"type": "json_schema", "json_schema": named})
        grammar = fields.pop("grammar", None)
        if grammar is not None:
            fields["structured_outputs"] = body.raw({"grammar": grammar})

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        translate(fields)
        fields["stream"] = TRUE
        fields["stream_options"] = _WITH_USAGE  # nothing else tells what an answer took

    def is_progress(self, events: bytes) -> bool:
        return False

    def _installed(self) -> Environment:
        found = self._environment()
        if found is None or not found.interpreter.exists():
            raise EngineMissing(
                "The engine vllm is not installed.", next_step="`noibo engines install vllm`."
            )
        return found

    def _programs(self) -> Sequence[Path]:
        """The environment and the Python it was made of, but not what was compiled in it: a worker
        wrote that."""
        found = self._installed()
        folder, base = Path(found.folder), found.interpreter.resolve().parent.parent
        own = [one for one in sorted(folder.iterdir()) if one.name != COMPILED]
        return own if base == folder.resolve() else [*own, base]

    def _compiled(self, model: Model) -> Path:
        """Where what is compiled for a model is kept. Each has its own: none is to take what the
        worker of another left there."""
        said = hashlib.sha256(f"{model.name} {model.path}".encode()).hexdigest()
        return Path(self._installed().folder) / COMPILED / said[:16]

    def _build(self) -> Build:
        found = self._installed()
        return Build(found.build, found.version, str(found.interpreter))


def _own(model: Model) -> VllmSettings:
    said = model.options.get("vllm")
    return said if isinstance(said, VllmSettings) else VllmSettings()


def _folder(model: Model) -> Folder:
    if model.path is None or model.format != "safetensors":
        raise NotSupported(
            f"{model.name} is {model.format}, and vLLM reads that slowly and not for all kinds of "
            "models: noibo gives it checkpoints (safetensors) only.",
            next_step="Run it by llama_cpp (leave out its engine in noibo.toml), or pull the "
            "checkpoint it was made of.",
        )
    return Folder.of(model.path)


def _held(model: Model) -> _Held:
    folder, said = _folder(model), _own(model).dtype
    dtype = folder.dtype if said in {"", "auto"} else said
    each, stored = (4 if one == "float32" else 2 for one in (dtype, folder.dtype))
    return _Held(2 * folder.layers * folder.keys * each, model.bytes * each // stored)


def _state(held: _Held, size: Size) -> int:
    """State of all slots; it is set aside in blocks, and never less than a few."""
    return max(held.a_token * size.context * size.parallel, LEAST_STATE)


def _processors(count: int) -> Sequence[int]:
    """Those that this process may use; empty where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return sorted(os.sched_getaffinity(0))[:count]
