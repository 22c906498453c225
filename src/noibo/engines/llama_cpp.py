"""llama.cpp, by `xllamacpp`: its own C++ server in a child process of ours.

Two things of that server are worked round here, both seen by running it. It notices a caller's
hang-up only when it next writes to that caller, or after a second in which no other request had a
result; so an unstreamed answer, or one whose prompt is still being read, goes on for nobody. We
therefore always ask it to stream, and to report progress while it reads a prompt.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.memory.size import Need, Size, Use
from noibo.engines.tuning import batch_tokens, estimated_rate, threads_for
from noibo.errors import EngineMissing, NotSupported

LONGEST_DEFAULT_CONTEXT = 4096
SHORTEST_CONTEXT = 256
WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


class LlamaCpp:
    """GGUF models on the CPU, and on the GPU where the installed build can."""

    name = "llama_cpp"
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NONE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def available(self) -> str:
        try:
            return "xllamacpp " + importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            raise EngineMissing(
                "The engine llama_cpp is not installed.", next_step="pip install xllamacpp"
            ) from None

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        context = context_size(model, limits)
        parallel = limits.parallel or 4
        return [Size(context, slots, limits.kv_type) for slots in (parallel, 2, 1)]

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        return Need(weights=model.bytes)

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        self.available()
        if model.format != "gguf":
            raise NotSupported(
                f"{model.name} is a {model.format} checkpoint, which llama.cpp does not run.",
                next_step=f"Pull a GGUF of the same model: `noibo search {model.name}`.",
            )
        threads = threads_for(limits.threads)
        rate = speed.prefill_rate or estimated_rate(model.parameters, threads)
        batch = batch_tokens(rate, limits.batch_seconds)
        placement = {
            "device": "cpu",
            "threads": threads,
            "ctx_size": size.context,
            "parallel": size.parallel,
            "kv_type": size.kv_type,
            "batch": batch,
        }
        config = placement | {
            "path": str(model.path),
            "alias": model.name,
            "measure_prefill": speed.measure,
            "projector": str(model.projector or ""),
            "adapters": [str(adapter) for adapter in model.adapters],
            "template": model.template or "",
        }
        return Launch(
            "noibo.engines.llama_cpp_process",
            config,
            size,
            self.need(model, size, limits),
            placement=placement,
        )

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE
        if not streamed:
            fields["stream_options"] = WITH_USAGE
        fields["return_progress"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return b'"prompt_progress":{' in events


def context_size(model: Model, limits: settings.Engine) -> int:
    """Tokens for each caller: what was asked for, else what came with the model (`num_ctx`), else
    what it was trained for, bounded."""
    if limits.ctx_size:
        return max(limits.ctx_size, SHORTEST_CONTEXT)
    wanted = model.defaults.parameters.get("num_ctx")
    wanted = wanted if isinstance(wanted, int) and wanted > 0 else LONGEST_DEFAULT_CONTEXT
    trained = model.trained_context or wanted
    return max(min(trained, wanted), SHORTEST_CONTEXT)
