"""transformers: any checkpoint of Hugging Face's from a folder on this disk, in the worker shell.

It is for models that nobody has made a GGUF of, and for vectors: one answer at a time, about as
fast as PyTorch is. The worker is told everything; nothing here imports what it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.environments.environment import Environment
from noibo.engines.hosted import forms, installed
from noibo.engines.hosted.folder import Folder, files_of, folder_of
from noibo.engines.hosted.memory import LARGEST_BATCH, Loading, need_of
from noibo.engines.hosted.serving import served
from noibo.engines.llama_cpp.adapter import SHORTEST_CONTEXT, WITH_USAGE, context_size
from noibo.engines.memory.ladder import rungs
from noibo.engines.memory.size import Need, Size, Use
from noibo.engines.tool_template import with_tools
from noibo.engines.tuning import batch_tokens, estimated_rate, threads_for
from noibo.errors import NotSupported

LEAST_CONTEXT: Final = 1024
DTYPES: Final = ("float32", "float16", "bfloat16")
ROUNDED: Final = ("8bit", "nf4")


class Transformers:
    """Checkpoints in safetensors."""

    name = "transformers"
    several = False
    foreign = False
    remedy = "Install PyTorch anew for this processor: " + installed.INSTALL
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NATIVE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def serving(self, model: Model, verb: Verb) -> Model:
        """Only vectors come of a worker of their own: what writes also scores."""
        return served(model, verb, self._folder(model))

    def __init__(self, environment: Callable[[], Environment | None] = lambda: None) -> None:
        self._environment = environment

    def available(self) -> str:
        return installed.find(self._environment).version

    def build(self) -> str:
        return self.available()

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        context = context_size(model, limits, use)
        if model.verb is Verb.EMBED:
            context = min(context, self._folder(model).positions or context)
        least = min(LEAST_CONTEXT, max(model.trained_context or context, SHORTEST_CONTEXT))
        return rungs(
            Size(context, 1),
            least,
            lambda size: self.need(model, size, limits).total,
            may_round=False,
        )

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        folder = self._folder(model)
        loading = Loading(_dtype(model, folder), model.options.get("load_in", ""))
        return need_of(model, folder, size, loading)

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        folder, option = self._folder(model), model.options.get
        if model.verb is not Verb.EMBED and not folder.writes:
            raise NotSupported(
                f"{model.name} cannot write: it is made for vectors.",
                next_step="Ask it at /v1/embeddings.",
            )
        load_in = option("load_in", "")
        also = (installed.ROUNDING,) if load_in in ROUNDED else ()
        found = installed.find(self._environment, also=also)
        threads = threads_for(limits.threads)
        rate = speed.prefill_rate or estimated_rate(model.parameters, threads)
        device_map = option("device_map", "")
        placement = {
            "device": "cpu" if found.on_cpu or device_map == "cpu" else "gpu",
            "threads": threads,
            "ctx_size": size.context,
            "parallel": 1,
            "dtype": _dtype(model, folder),
            **({"load_in": load_in} if load_in else {}),
            "batch": min(batch_tokens(rate, limits.batch_seconds), LARGEST_BATCH),
        }
        config = placement | {
            "engine": self.name,
            "alias": model.name,
            "verb": model.verb.value,
            "path": str(model.path),
            "load_in": load_in,
            "device_map": device_map or ("" if found.on_cpu else "auto"),
            "pooling": folder.pooling,
            "template": with_tools(model.chat_template) or model.template or "",
        }
        proof = min(LARGEST_BATCH, size.context // 2) if speed.measure else 0
        return Launch(
            "noibo.engines.hosted.transformers_process",
            config,
            size,
            self.need(model, size, limits),
            reads=files_of(model.path) if model.path else (),
            proof_tokens=0 if model.verb is Verb.EMBED else proof,
            placement=placement,
            python=found.python,
        )

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def constrain(self, fields: Fields, model: Model) -> None:
        forms.constrain(fields, model)

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE
        if not streamed:
            fields["stream_options"] = WITH_USAGE
        fields["return_progress"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return b'"prompt_progress":{' in events

    def _folder(self, model: Model) -> Folder:
        if model.path is None or model.format != "safetensors":
            raise NotSupported(
                f"{model.name} is {model.format}, which transformers does not run here.",
                next_step="Run it by llama_cpp: leave out its engine in noibo.toml.",
            )
        return folder_of(model)


def _dtype(model: Model, folder: Folder) -> str:
    """What it computes in: as set, else as it is stored. Processors are slow in float16."""
    wanted: str = model.options.get("dtype", "")
    stored = folder.dtype if folder.dtype in DTYPES else "float32"
    return wanted or ("bfloat16" if stored == "float16" else stored)
