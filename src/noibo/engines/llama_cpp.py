"""llama.cpp, by `xllamacpp`: its own C++ server in a child process of ours.

Two things of that server are worked round here, both seen by running it. It notices a caller's
hang-up only when it next writes to that caller, or after a second in which no other request had a
result; so an unstreamed answer, or one whose prompt is still being read, goes on for nobody. We
therefore always ask it to stream, and to report progress while it reads a prompt.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

import msgspec

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.tuning import batch_tokens, estimated_rate, threads_for
from noibo.errors import EngineMissing

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

    def launch(self, model: Model, limits: settings.Engine, speed: Speed) -> Launch:
        self.available()
        threads = threads_for(limits.threads)
        rate = speed.prefill_rate or estimated_rate(model.parameters, threads)
        batch = batch_tokens(rate, limits.batch_seconds)
        context = context_size(model, limits)
        placement = {
            "device": "cpu",
            "threads": threads,
            "ctx_size": context,
            "parallel": limits.parallel,
            "batch": batch,
        }
        config = placement | {
            "path": str(model.path),
            "alias": model.name,
            "measure_prefill": speed.measure,
        }
        return Launch("noibo.engines.llama_cpp_process", config, placement)

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE
        if not streamed:
            fields["stream_options"] = WITH_USAGE
        fields["return_progress"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return b'"prompt_progress":{' in events


def context_size(model: Model, limits: settings.Engine) -> int:
    """Tokens for each caller: what was asked for, else what the model was trained for, bounded."""
    if limits.ctx_size:
        return max(limits.ctx_size, SHORTEST_CONTEXT)
    trained = model.trained_context or LONGEST_DEFAULT_CONTEXT
    return max(min(trained, LONGEST_DEFAULT_CONTEXT), SHORTEST_CONTEXT)
