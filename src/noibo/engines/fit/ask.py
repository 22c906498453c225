"""What is asked: this model, this large, with that many callers.

The model is one as engines see it. Of one that is here the header says everything; of one that is
not, its shape is known or guessed, and its weights are parameters times bits of its quantisation.
What another engine than llama.cpp runs is as large as that engine says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from noibo import settings
from noibo.engines.engine import Engine, Model, Verb
from noibo.engines.fit import shapes
from noibo.engines.hosted.folder import folder_of
from noibo.engines.llama_cpp import embed
from noibo.engines.llama_cpp.adapter import LlamaCpp, may_round
from noibo.engines.memory.estimate import length_of
from noibo.engines.memory.size import Size, Use
from noibo.errors import UsageError
from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.catalog.choice import Choice
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.settings import KvType

# header: the file is here. engine: what another than llama.cpp says of it. shape: its layers are
# known by name. size: guessed from others as large.
Known = Literal["header", "engine", "shape", "size", "nothing"]
LIMITS: Final = settings.Engine()
# What most publishers of GGUF files have.
USUAL: Final = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M")


@dataclass(frozen=True, slots=True)
class Ask:
    """`context` is tokens for each of `parallel` callers. `adapter_bytes` and `projector_bytes` are
    those of the files that belong to the model, and part of `model.bytes`. `others` are the
    quantisations that it can be had in; `active` the parameters used for one token, 0: by the
    header. `prefill` and `decode` are tokens/s that were measured of this very model here, `rate`
    those by which its worker's batch is chosen. `kept_bytes` is the most that idle conversations
    may take, and `limits` hold for its worker. `elsewhere`: another engine than llama.cpp runs it;
    `engine` is that one, of a model that is here."""

    model: Model
    context: int
    parallel: int = 1
    kv_type: KvType = "f16"
    known: Known = "header"
    quantisation: str | None = None
    others: tuple[str, ...] = ()
    active: int = 0
    adapter_bytes: int = 0
    projector_bytes: int = 0
    api_only: bool = False
    prefill: float | None = None
    decode: float | None = None
    rate: float | None = None
    kept_bytes: int = 0
    limits: settings.Engine = LIMITS
    engine: Engine | None = None
    elsewhere: bool = False

    @property
    def size(self) -> Size:
        return Size(self.context, self.parallel, self.kv_type, self.kept_bytes)

    @property
    def writes(self) -> bool:
        """False of a model that gives vectors or ranks: nothing is decoded."""
        return self.model.verb is not Verb.EMBED

    @property
    def may_round(self) -> bool:
        """Whether llama.cpp can hold its conversations as q8_0."""
        return not self.elsewhere and may_round(self.model)


def of_model(
    model: Model,
    limits: settings.Engine = LIMITS,
    use: Use = Use(),
    kept_bytes: int = 0,
    engine: Engine | None = None,
) -> Ask:
    """A model that is here, as large as noibo would start it by those limits and by how it was
    used, with `engine`, by default llama.cpp. The sizes of what comes with it are those of its
    files, read now. Raises what its engine says against it."""
    if engine is not None and not isinstance(engine, LlamaCpp):
        return _by_engine(engine, model, limits, use, kept_bytes)
    if embed.only_embeds(model):
        model = replace(model, verb=Verb.EMBED)
    info, size = model.info, LlamaCpp().sizes(model, limits, use, kept_bytes)[0]
    return Ask(
        model,
        size.context,
        size.parallel,
        size.kv_type,
        known="header" if info and info.state else "nothing",
        quantisation=(info.file_type or info.quantisation) if info else None,
        others=USUAL if info and info.parameters else (),
        adapter_bytes=sum(map(length_of, model.adapters)),
        projector_bytes=length_of(model.projector),
        kept_bytes=size.kept_bytes,
        limits=limits,
    )


def _by_engine(
    engine: Engine, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
) -> Ask:
    """As large as the engine would make it; what cannot write is for vectors."""
    folder = folder_of(model) if model.format == "safetensors" else None
    if folder is not None and not folder.writes:
        model = engine.serving(model, Verb.EMBED)
    size = engine.sizes(model, limits, use, kept_bytes)[0]
    return Ask(
        model,
        size.context,
        size.parallel,
        size.kv_type,
        known="engine",
        quantisation=folder.dtype if folder else None,
        kept_bytes=size.kept_bytes,
        limits=limits,
        engine=engine,
        elsewhere=True,
    )


def of_choice(
    choice: Choice, limits: settings.Engine = LIMITS, *, context: int = 0, parallel: int = 0
) -> Ask:
    """A model of the catalogue that is not here, in the quantisation that was chosen, as large as
    noibo would start it by those limits, or as large as is said."""
    limits = replace(
        limits, ctx_size=context or limits.ctx_size, parallel=parallel or limits.parallel
    )
    size = choice.model.size
    trained = choice.model.context or 0
    if size is None or choice.quantisation is None:
        hosted = Model(str(choice.reference), "remote", trained_context=trained)
        return Ask(hosted, trained, known="nothing", api_only=True)
    shape, known = shapes.find(choice.model.name, size.parameters, size.active or 0)
    info = shapes.described(shape, size.parameters, choice.quantisation, trained)
    vectors = "embedding" in choice.model.abilities
    if vectors:
        info = replace(info, architecture=_architecture(choice.model.name), pooling="mean")
    model = Model(
        str(choice.reference),
        "llama_cpp",
        parameters=size.parameters,
        trained_context=trained,
        info=info,
        bytes=info.tensor_bytes,
        verb=Verb.EMBED if vectors else Verb.GENERATE,
    )
    wanted = LlamaCpp().sizes(model, limits, Use(), 0)[0]
    return Ask(
        model,
        wanted.context,
        wanted.parallel,
        wanted.kv_type,
        known=known,
        quantisation=choice.quantisation,
        others=USUAL,
        active=size.active or 0,
        limits=limits,
    )


def in_quantisation(ask: Ask, text: str) -> Ask:
    """The same model stored otherwise; `text` as people type it (`q4_k_m`, `8bit`). Raises
    `UsageError` for what is none, for a model of which no header is known, and for one that
    another engine runs."""
    if ask.engine is not None:
        raise UsageError(
            f"{ask.model.name} is run by {ask.engine.name}, as it is stored: only llama.cpp has "
            "other quantisations.",
            next_step="Leave --quant out, or name the same model of the catalogue: `noibo search`.",
        )
    named = q.parse(text)
    info = ask.model.info
    if not named:
        raise UsageError(
            f"{text!r} is no quantisation that llama.cpp has.",
            next_step="As Q4_K_M, Q5_K_M, Q8_0 or F16; `noibo show MODEL` says what one is in.",
        )
    if info is None or not info.parameters:
        raise UsageError(
            f"How many parameters {ask.model.name} has is not known, so neither is its size "
            f"in {named[0]}.",
            next_step="Leave --quant out: the file is taken as it is.",
        )
    made = shapes.requantised(info, ask.model.parameters or info.parameters, named[0])
    beside = ask.adapter_bytes + ask.projector_bytes
    model = replace(ask.model, info=made, bytes=made.file_size + beside)
    if ask.elsewhere:
        model = replace(model, engine=LlamaCpp.name)
    known: Known = "shape" if ask.known == "header" else ask.known
    made_of = replace(ask, model=model, quantisation=named[0], known=known, elsewhere=False)
    return replace(made_of, prefill=None, decode=None, rate=None)


def _architecture(name: str) -> str:
    """Of an embedding model: most are encoders, which keep no state."""
    return "qwen3" if name.startswith("qwen3") else "bert"


def parameters_of(model: Model) -> int:
    """Its parameters, of all parts; 0 where nobody says."""
    info: ModelInfo | None = model.info
    return max(model.parameters, info.parameters if info else 0)
