"""llama.cpp, by `xllamacpp`: its own C++ server in a child process of ours.

Two things of that server are worked round here, both seen by running it. It notices a caller's
hang-up only when it next writes to that caller, or after a second in which no other request had a
result; so an unstreamed answer, or one whose prompt is still being read, goes on for nobody. We
therefore always ask it to stream, and to report progress while it reads a prompt.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from noibo import settings
from noibo.engines.engine import TRUE, Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.environments.choice import Built, build_name, no_other
from noibo.engines.llama_cpp import embed, schema, score_plan
from noibo.engines.llama_cpp.devices import Devices, EngineDevices, none
from noibo.engines.llama_cpp.offload import Offload, left, load_of, place
from noibo.engines.memory.estimate import cache_mib, checkpoints, need_of
from noibo.engines.memory.ladder import rungs
from noibo.engines.memory.placement import placed
from noibo.engines.memory.size import USUAL_SLOTS, Need, Size, Use
from noibo.engines.tool_template import with_tools
from noibo.engines.tuning import batch_tokens, estimated_rate, threads_for
from noibo.errors import EngineMissing, NotSupported
from noibo.hardware import cards
from noibo.hardware.offload import Device as Named
from noibo.hardware.offload import Usable
from noibo.modelstore.parts import Part

LONGEST_DEFAULT_CONTEXT = 4096
LEAST_CONTEXT = 1024  # for want of memory no shorter, if the model was trained for it
SHORTEST_CONTEXT = 256
NEARLY = 0.75  # of a context: a conversation that long is about to outgrow it
MOST_SLOTS = 8  # more callers at once only slow each other down on a processor
Q8_0_BLOCK = 32
GPU_READING = 0.4  # of the operations that a GPU's maker names: what reading a prompt reaches
SMALL_GPU = 10e12  # operations/s of one that is not known
TOP = msgspec.Raw(b"20")  # log-probabilities of each token, where nobody says how many
WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
# Verbs that llama.cpp's server does not do beside a chat: what their workers have different.
_OF_THEIR_OWN = {Verb.SCORE: score_plan, Verb.EMBED: embed}


class LlamaCpp:
    """GGUF models on the CPU, and on the GPU where the installed build can."""

    name = "llama_cpp"
    several = True
    foreign = False
    remedy = (
        "Install a build for this processor: `noibo engines install native`, then `noibo doctor`."
    )
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NATIVE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def __init__(self, devices: Devices = none, built: Built = no_other) -> None:
        """`built`: the build in an environment of its own that is used instead of the wheel which
        came with noibo, if there is one."""
        self._devices = devices
        self._built = built
        self._flops: Mapping[str, float | None] | None = None

    def gpus(self) -> tuple[str, ...]:
        """GPUs that it can use, by its own names. May take a second."""
        return tuple(device.name for device in self._devices())

    def usable(self) -> Usable:
        """The same as its build says it now, or why it says nothing. Takes a second."""
        if isinstance(self._devices, EngineDevices):
            return self._devices.ask()
        named = [Named(one.name, one.name, one.free, one.free) for one in self._devices()]
        return Usable(tuple(named))

    def look_again(self) -> None:
        """What is free on GPUs is another amount now."""
        if isinstance(self._devices, EngineDevices):
            self._devices.forget()

    def serving(self, model: Model, verb: Verb) -> Model:
        if self.verbs[verb] is Support.NONE:
            raise NotSupported(f"The engine {self.name} cannot {verb.value}.")
        if verb is Verb.SCORE and embed.only_embeds(model):
            raise NotSupported(
                f"{model.name} only embeds: it says nothing of the next token.",
                next_step="Take a model that writes.",
            )
        if verb is Verb.TOKENISE and embed.only_embeds(model):
            verb = Verb.EMBED
        if verb not in _OF_THEIR_OWN:
            return replace(model, verb=Verb.GENERATE)
        return replace(model, verb=verb, context=0)  # what was asked for is of conversations

    def available(self) -> str:
        if built := self._built():
            return str(built)
        try:
            return "xllamacpp " + importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            raise EngineMissing(
                "The engine llama_cpp is not installed.", next_step="pip install xllamacpp"
            ) from None

    def build(self) -> str:
        if built := self._built():
            return build_name(built)
        found = importlib.metadata.distribution("xllamacpp")
        record = Path(str(found.locate_file(""))) / "xllamacpp"
        return f"{self.available()} {record.stat().st_mtime_ns}"

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        context = context_size(model, limits, use)
        slots = limits.parallel or slots_for(use)
        wanted = Size(context, slots, limits.kv_type, kept_bytes)
        least = LEAST_CONTEXT
        if own := _OF_THEIR_OWN.get(model.verb):
            wanted, least = own.size(model, wanted, limits), own.LEAST_CONTEXT
        trained = model.trained_context or context
        return rungs(
            wanted,
            min(least, max(trained, SHORTEST_CONTEXT)),
            lambda size: self.need(model, size, limits).total,
            may_round=may_round(model),
        )

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        return need_for(model, size, batch_for(model, size, limits, None))

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return placed(log)

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        self.available()
        if model.format != "gguf":
            raise NotSupported(
                f"{model.name} is a {model.format} checkpoint, which llama.cpp does not run.",
                next_step=f"Pull a GGUF of the same model: `noibo search {model.name}`.",
            )
        if model.verb is not Verb.EMBED and embed.only_embeds(model):
            raise NotSupported(
                f"{model.name} cannot write: it is made for vectors or for ranking.",
                next_step="Ask it at /v1/embeddings or /v1/rerank.",
            )
        threads = threads_for(limits.threads)
        batch, need, gpu = self._placed(model, size, limits, speed)
        placement = {
            "device": "gpu" if gpu.get("layers") else "cpu",
            "threads": threads,
            "ctx_size": size.context,
            "parallel": size.parallel,
            "kv_type": size.kv_type,
            "batch": batch,
            "kept_bytes": size.kept_bytes,
        }
        if built := self._built():
            placement["build"] = str(built)
        placement |= {"gpu_layers": gpu["layers"]} if gpu else {}
        config = placement | {
            "path": str(model.path),
            "alias": model.name,
            "projector": str(model.projector or ""),
            "adapters": [str(adapter) for adapter in model.adapters],
            "template": with_tools(model.chat_template) or model.template or "",
            "given_template": model.template or "",
            "own_template": (model.info and model.info.chat_template) or "",
            "cache_ram_mib": cache_mib(model.info, size),
            "checkpoints": checkpoints(model.info, size),
            "gpu": gpu,
        }
        launch = Launch(
            "noibo.engines.llama_cpp.process",
            config,
            size,
            need,
            reads=_files(model),
            proof_tokens=min(batch, size.context // 2) if speed.measure else 0,
            placement=placement,
            python=str(built.interpreter) if built else "",
        )
        own = _OF_THEIR_OWN.get(model.verb)
        return own.launch(launch, model) if own else launch

    def _placed(
        self, model: Model, size: Size, limits: settings.Engine, speed: Speed
    ) -> tuple[int, Need, dict[str, Any]]:
        """The batch, what is left of the need for the machine's memory, and what goes to which GPU.
        Where layers go there and nothing was measured yet, the batch is as large as they read in
        time: that needs larger buffers, and so other layers may go."""
        batch = batch_for(model, size, limits, speed.prefill_rate)
        found, need, told = self._offloaded(model, need_for(model, size, batch))
        if speed.prefill_rate or not found.layers:
            return batch, need, told
        layers = (model.info and model.info.layers) or 1
        on_gpus = [(one.layers / layers, self._operations().get(one.name)) for one in found.devices]
        rate = offloaded_rate(model.parameters, threads_for(limits.threads), on_gpus)
        larger = batch_for(model, size, limits, rate)
        found, again, told_again = self._offloaded(model, need_for(model, size, larger))
        return (larger, again, told_again) if found.layers else (batch, need, told)

    def _operations(self) -> Mapping[str, float | None]:
        """What each of its GPUs does in a second, by its maker; None of one that is not known. The
        engine is asked what they are called, once: that takes a second."""
        if self._flops is None:
            named = self.usable().devices
            known = {one.name: cards.known(one.description, one.memory_bytes) for one in named}
            self._flops = {name: card.flops if card else None for name, card in known.items()}
        return self._flops

    def _offloaded(self, model: Model, need: Need) -> tuple[Offload, Need, dict[str, Any]]:
        """What goes to which GPU, what is left of the need for the machine's memory, and what the
        worker is told: nothing where the engine has none, or where the worker places by itself. Of
        a model whose header says too little none goes, and that is said: else all of it would."""
        devices = () if model.verb is Verb.SCORE else self._devices()
        if not devices:
            return Offload(), need, {}
        load = load_of(model, need, _length(model.projector))
        found = place(load, devices) if load else Offload()
        told = {
            "layers": found.layers,
            "split": list(found.split),
            "main": found.main_gpu,
            "projector": found.projector,
        }
        if load is None or not found.layers or any(device.shared for device in devices):
            return found, need, told
        return found, left(need, load, found), told

    def constrain(self, fields: Fields, model: Model) -> None:
        schema.constrain(fields, model)

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        fields["stream"] = TRUE
        if "tools" in fields and fields.pop("logprobs", None) == TRUE:
            fields["n_probs"] = fields.pop("top_logprobs", TOP)  # by the other name it refuses
        if not streamed:
            fields["stream_options"] = WITH_USAGE
        fields["return_progress"] = TRUE

    def is_progress(self, events: bytes) -> bool:
        return b'"prompt_progress":{' in events


def _length(path: Path | None) -> int:
    return path.stat().st_size if path and path.exists() else 0


def _files(model: Model) -> tuple[Path, ...]:
    """Every file of the model; of one in parts, each part."""
    part = Part.of(str(model.path))
    parts = [Path(part.path(i + 1)) for i in range(part.count)] if part else [model.path]
    return tuple(file for file in (*parts, model.projector, *model.adapters) if file)


def context_size(model: Model, limits: settings.Engine, use: Use = Use()) -> int:
    """Tokens for each caller: what was asked for, else what came with the model (`num_ctx`), else
    what it was trained for, bounded; and more where conversations that long are held here."""
    if limits.ctx_size:
        return max(limits.ctx_size, SHORTEST_CONTEXT)
    wanted = model.defaults.parameters.get("num_ctx")
    wanted = wanted if isinstance(wanted, int) and wanted > 0 else LONGEST_DEFAULT_CONTEXT
    wanted = max(wanted, model.context)
    trained = model.trained_context or wanted
    context = max(min(trained, wanted), SHORTEST_CONTEXT)
    while context < trained and use.tokens > NEARLY * context:
        context = min(2 * context, trained)
    return context


def slots_for(use: Use) -> int:
    """Slots by the most callers there were at once; two at least, as one always comes."""
    return min(max(use.callers, 2), MOST_SLOTS) if use.callers else USUAL_SLOTS


def batch_for(model: Model, size: Size, limits: settings.Engine, rate: float | None) -> int:
    """Prompt tokens that its worker reads at a time, where it reads `rate` in a second."""
    rate = rate or estimated_rate(model.parameters, threads_for(limits.threads))
    most = batch_tokens(rate, limits.batch_seconds)
    own = _OF_THEIR_OWN.get(model.verb)
    return own.batch(model, most, size) if own else most


def offloaded_rate(
    parameters: int, threads: int, on_gpus: Sequence[tuple[float, float | None]]
) -> float:
    """Prompt tokens a second, before anything was measured, where GPUs hold such shares of the
    layers, each of so many operations/s by its maker (None: not known). They take turns with the
    processor, which reads what is left."""
    work = 2 * max(parameters, 1_000_000)
    seconds = sum(share * work / (GPU_READING * (flops or SMALL_GPU)) for share, flops in on_gpus)
    rest = max(1 - sum(share for share, _ in on_gpus), 0.0)
    return 1 / (seconds + rest / estimated_rate(parameters, threads))


def need_for(model: Model, size: Size, batch: int) -> Need:
    """What its worker takes, whatever it is started for."""
    own = _OF_THEIR_OWN.get(model.verb)
    return own.need(model, size, batch) if own else need_of(model, size, batch)


def may_round(model: Model) -> bool:
    """True if keys and values can be held in the blocks of q8_0."""
    info = model.info
    if info is None or not info.state:
        return False
    lengths = (info.key_length or 0, info.value_length or 0)
    return all(length and length % Q8_0_BLOCK == 0 for length in lengths)
