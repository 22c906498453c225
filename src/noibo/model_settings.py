"""What is set for single models and for uses: the tables `[models."NAME"]` and `[uses.USE]`.

A model is run here by an engine of noibo's, or asked for at another program, here or elsewhere. A
use (chat, code, …) names a model, so that programs need not: they ask for `use:chat`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec

from noibo.errors import SettingsError

Whole = Annotated[int, msgspec.Meta(ge=0)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Tries = Annotated[int, msgspec.Meta(ge=0, le=10)]
Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]
Money = Annotated[float, msgspec.Meta(ge=0)]
ContextPolicy = Literal["", "refuse", "drop_oldest", "summarise"]
StrategyName = Literal["", "local_only", "api_only", "hybrid", "cascade", "cheapest_that_meets"]
AbilityName = Literal["tools", "vision", "json", "schema", "audio", "logprobs"]
EngineName = Literal[
    "", "llama_cpp", "llama_server", "ollama", "remote", "transformers", "openvino", "vllm"
]

ELSEWHERE: Final = frozenset({"ollama", "remote"})  # engines that ask another program
# Engines that run a model's own files: any of them can be named for one, as `qwen3:8b@vllm`.
RUNNING: Final = frozenset({"llama_cpp", "llama_server", "openvino", "transformers", "vllm"})
OLLAMAS_PLACE: Final = "http://127.0.0.1:11434"
USES: Final = ("chat", "code", "embedding", "rerank", "vision")
AUTO: Final = "auto"  # the virtual model that is always there
FIRST_THERE: Final = "*"  # as a model's name elsewhere: the first that is listed there
USE: Final = "use:"  # in front of a use, where the name of a model is wanted
ENVIRONMENT: Final = "env:"  # in front of the name of a variable that has a key
KEYRING: Final = "keyring:"  # in front of SERVICE/USER, by which the system's keyring has it
LORA_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM takes as the largest


def _key(default: Any, doc: str) -> Any:
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


def _elsewhere(default: Any, doc: str, *, secret: bool = False) -> Any:
    """Of a model that another program has."""
    said = {"doc": f"Of a model elsewhere: {doc}", "elsewhere": True, "secret": secret}
    return field(default=default, repr=not secret, metadata=said)


class VllmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How vLLM runs a model: `[models."NAME"] vllm = { tensor_parallel = 2 }`. `tensor_parallel`
    GPUs hold each layer together, `pipeline_parallel` groups of them hold layers one after another;
    `gpu_memory`: the share of each GPU's memory that it takes; `lora`: adapters by name, each a
    folder; `lora_rank`: the largest of their ranks, or what vLLM has above it; `eager`: do not
    compile it first (by default: compiled on a GPU alone); `extra`: further options of
    `vllm serve`, word by word."""

    tensor_parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    pipeline_parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    quantization: Literal[
        "", "awq", "awq_marlin", "gptq", "gptq_marlin", "fp8", "bitsandbytes", "compressed-tensors"
    ] = ""
    gpu_memory: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    prefix_caching: bool = True
    dtype: Literal["", "auto", "float16", "bfloat16", "float32"] = ""
    kv_dtype: Literal["", "auto", "fp8", "fp8_e4m3", "fp8_e5m2", "bfloat16"] = ""
    lora: Mapping[str, str] = {}
    lora_rank: int = 0  # 0: nobody says, and vLLM goes by its own
    eager: bool | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the settings tell with the table's name."""
        if self.lora_rank not in {0, *LORA_RANKS}:
            known = ", ".join(map(str, LORA_RANKS))
            raise ValueError(
                f"lora_rank: vLLM takes {known}, and not {self.lora_rank}; name the next above "
                "the rank of the adapter, or leave it out"
            )
        for name, path in self.lora.items():
            if not name or "@" in name or any(one in "=," or one.isspace() for one in name):
                raise ValueError(
                    f"lora: {name!r} is no name of an adapter: without spaces, =, @ and commas"
                )
            if "=" in path or "," in path:  # vLLM would part its NAME=PATH there
                raise ValueError(f"lora: the path of {name} has = or a comma, which vLLM parts at")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What is different for one model: the table `[models."NAME"]`. Empty: as for all."""

    keep_alive: str = _key("", "As memory.keep_alive.")
    pinned: bool = _key(False, "Once loaded it is never unloaded to make room for another.")
    ctx_size: Whole = _key(0, "As engine.ctx_size.")
    parallel: Whole = _key(0, "As engine.parallel.")
    kv_type: Literal["", "f16", "q8_0"] = _key("", "As engine.kv_type.")
    require_gpu: bool | None = _key(None, "As engine.require_gpu.")
    context_policy: ContextPolicy = _key("", "As server.context_policy.")
    label: str = _key(
        "", "Of privacy.labels: what every text is at least that this model is asked, or answers."
    )
    abilities: tuple[AbilityName, ...] | None = _key(
        None,
        "What it can do where a virtual model chooses: tools, vision, json, schema, audio, "
        "logprobs; nobody says: of a model here what its file says, else all but vision and audio.",
    )
    quality: Mapping[str, Chance] = _key(
        {},
        "Its measured share of right answers, by kind of task (chat, code, mathematics …; all): "
        "{ all = 0.8, code = 0.6 }.",
    )
    engine: EngineName = _key(
        "",
        "As engine.default; or ollama, remote: no file here, another program is asked at base_url.",
    )
    load_in: Literal["", "8bit", "nf4"] = _key(
        "",
        "Of a checkpoint run by transformers: its weights are rounded as they are loaded, to 8bit "
        "or nf4, by bitsandbytes; empty: as they are.",
    )
    dtype: Literal["", "float32", "float16", "bfloat16"] = _key(
        "", "Of such a checkpoint: what is computed in; empty: what it is stored in."
    )
    device_map: str = _key(
        "", "Of such a checkpoint: auto, balanced, cuda:0, cpu …; empty: auto where there is a GPU."
    )
    vllm: VllmSettings | None = _key(
        None,
        "Of such a checkpoint run by vllm: tensor_parallel, pipeline_parallel, quantization, "
        "gpu_memory, prefix_caching, dtype, kv_dtype, lora, lora_rank, eager, extra.",
    )
    base_url: str = _elsewhere(
        "",
        "where it is, as http://127.0.0.1:8000/v1, or https://openrouter.ai/api/v1; of Ollama's, "
        "empty: http://127.0.0.1:11434.",
    )
    own_network: bool = _elsewhere(
        False,
        "the name in base_url leads into your own network, and nowhere else: http is allowed. It "
        "goes without saying for names without a dot, .local, .lan, .internal and plain numbers.",
    )
    trusted: bool = _elsewhere(
        False,
        "it is a server of your own, and everything may be sent there that may be asked here; "
        "what was sent is written down all the same.",
    )
    hands_on: bool = _elsewhere(
        False,
        "it is a proxy on this machine (LiteLLM's, say) that hands on to others what it is asked: "
        "what goes to it is judged, redacted and written down as what leaves this machine.",
    )
    openrouter: bool = _elsewhere(
        False,
        "it is OpenRouter behind another name, and asked to use only providers that keep nothing "
        "(data_collection: deny). It goes without saying for openrouter.ai, and for [routing.api] "
        "with the key of OPENROUTER_API_KEY.",
    )
    tells_cost: bool = _elsewhere(
        False,
        "what it says in usage.cost is what an answer cost in dollars; else that is reckoned from "
        "tokens and prices. It goes without saying for openrouter.ai.",
    )
    api_key: str = _elsewhere(
        "",
        "the key that is wanted there; or env:NAME, a variable that has it; or "
        "keyring:SERVICE/USER, where the system's keyring has it.",
        secret=True,
    )
    model: str = _elsewhere("", "its name there; empty: the same as here.")
    connect_s: Wait = _elsewhere(10.0, "seconds in which a connection is to be made.")
    first_s: Wait = _elsewhere(
        0.0,
        "seconds until the first byte of an answer is to come; 0: five times "
        "engine.answer_stall_s.",
    )
    stall_s: Wait = _elsewhere(0.0, "seconds that an answer may stand still; 0: as first_s.")
    retries: Tries = _elsewhere(2, "times it is asked again where it is not there, or has no time.")

    @property
    def loading(self) -> dict[str, Any]:
        """How transformers or vLLM is to load it, as far as that is said."""
        said = {"load_in": self.load_in, "dtype": self.dtype, "device_map": self.device_map}
        return {name: value for name, value in {**said, "vllm": self.vllm}.items() if value}

    @property
    def elsewhere(self) -> bool:
        """Another program has it."""
        return self.engine in ELSEWHERE


@dataclass(frozen=True, slots=True)
class UseSettings:
    """Which model a use is for: the table `[uses.USE]`."""

    model: str = _key("", "Model, or alias of one, that is asked for this use.")
    engine: EngineName = _key("", "Engine that runs it for this use; empty: the model's own.")


class SideSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What models of one side are asked with where a request says nothing."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=5)] | None = None


@dataclass(frozen=True, slots=True)
class VirtualSettings:
    """A name that stands for whichever of several models suits a request: `[virtual."NAME"]`."""

    candidates: tuple[str, ...] = _key(
        (), "Models that may answer, as the user likes them; empty: as of auto."
    )
    strategy: StrategyName = _key("", "As routing.strategy.")
    simple_threshold: Chance | None = _key(None, "As routing.simple_threshold.")
    complex_threshold: Chance | None = _key(None, "As routing.complex_threshold.")
    confidence: Chance | None = _key(None, "As routing.confidence.")
    quality: Chance | None = _key(None, "As routing.quality.")
    api_fallback: bool | None = _key(None, "As routing.api_fallback.")
    max_api_calls_per_hour: Whole | None = _key(None, "As routing.max_api_calls_per_hour.")
    max_cost: Money | None = _key(None, "Most that one answer may be expected to cost.")
    max_seconds: Wait | None = _key(None, "Most seconds that one answer may be expected to take.")
    local: SideSettings | None = _key(
        None, "What models here are asked with: max_tokens, temperature."
    )
    api: SideSettings | None = _key(None, "The same of models elsewhere.")
    judge: str | None = _key(None, "As routing.judge.")
    samples: Annotated[int, msgspec.Meta(ge=1, le=9)] | None = _key(None, "As routing.samples.")
    sticky: bool | None = _key(None, "As routing.sticky.")


def check_virtual(
    virtual: Mapping[str, VirtualSettings],
    models: Mapping[str, ModelSettings],
    aliases: Mapping[str, str],
) -> None:
    """Raise `SettingsError` for a virtual model that is named as another, or leads to one such."""
    for name, own in virtual.items():
        table = f'[virtual."{name}"]'
        if name in models or name in aliases or name.startswith(USE) or not name.strip():
            raise SettingsError(
                f"{table}: {name or 'that'} is a name already.",
                next_step="Give it another, or remove the table of that model or alias.",
            )
        for one in own.candidates:
            if one in virtual or one == AUTO or aliases.get(one) in {AUTO, *virtual}:
                raise SettingsError(
                    f"{table} has the candidate {one}, which is a virtual model itself.",
                    next_step="Name models, aliases of models, or uses.",
                )
        low, high = own.complex_threshold, own.simple_threshold
        if low is not None and high is not None and low > high:
            raise SettingsError(
                f"{table}: complex_threshold {low} is over simple_threshold {high}.",
                next_step="What is less likely right is the more complex: exchange them.",
            )


_OF_MODELS_ELSEWHERE: Final = tuple(
    leaf.name for leaf in dataclasses.fields(ModelSettings) if leaf.metadata.get("elsewhere")
)


def checked_model(name: str, own: ModelSettings, environ: Mapping[str, str]) -> ModelSettings:
    """With its address, and its key where that is in the environment. Raises `SettingsError` where
    what only a model elsewhere has is there without `engine`, or the other way round."""
    table = f'[models."{name}"]'
    if not own.elsewhere:
        usual = ModelSettings()
        said = [one for one in _OF_MODELS_ELSEWHERE if getattr(own, one) != getattr(usual, one)]
        if said:
            raise SettingsError(
                f"{table} has what only a model elsewhere has ({', '.join(said)}).",
                next_step='Add engine = "remote", or engine = "ollama".',
            )
        return own
    if own.engine == "ollama" and not own.base_url:
        own = dataclasses.replace(own, base_url=OLLAMAS_PLACE)
    if not own.base_url:
        raise SettingsError(
            f"{table} is remote, and nothing says where.",
            next_step='Add base_url = "http://127.0.0.1:8000/v1", say.',
        )
    return dataclasses.replace(own, api_key=_key_or_place(table, own.api_key.strip(), environ))


def with_full_names(models: Mapping[str, ModelSettings]) -> dict[str, ModelSettings]:
    """Each table by its model's name in the store too, where that is written otherwise: there
    `:latest` goes without saying and capitals are folded. Else such a table would say nothing."""
    found = dict(models)
    for name, own in models.items():
        if not own.elsewhere:
            tag = "" if ":" in name.rpartition("/")[2] else ":latest"
            found.setdefault(name.lower() + tag, own)
    return found


def _key_or_place(table: str, said: str, environ: Mapping[str, str]) -> str:
    """The key; where the keyring has it, or a variable that is not set, still its place there."""
    if said.startswith(KEYRING):
        _require_place_in_keyring(table, said)
        return said
    if not said.startswith(ENVIRONMENT):
        return header_key(said, table)
    variable = said.removeprefix(ENVIRONMENT)
    if not (found := environ.get(variable, "").strip()):
        return said  # `noibo ps` needs no keys: who asks a model there does, and a server's start
    return header_key(found, f"{table}, variable {variable}")


def header_key(said: str, where: str) -> str:
    """A key as a header carries it: without what stands round it. Raises `SettingsError`, in which
    the key is not."""
    key = said.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"{where}: the api_key has signs that no header can carry.",
            next_step="Put it there anew: on one line, of ASCII signs alone.",
        )
    return key


def _require_place_in_keyring(table: str, said: str) -> None:
    service, _, user = said.removeprefix(KEYRING).rpartition("/")
    if not service or not user:
        raise SettingsError(
            f"{table} takes its api_key from the keyring, and does not say whose.",
            next_step='Write api_key = "keyring:SERVICE/USER".',
        )


def check_labels(models: Mapping[str, ModelSettings], labels: tuple[str, ...]) -> None:
    """Raise `SettingsError` for a model with a label that is none."""
    for name, own in models.items():
        if own.label and own.label not in labels:
            raise SettingsError(
                f'[models."{name}"] has the label {own.label!r}, which is not one of '
                "privacy.labels.",
                next_step=f"Labels are {', '.join(labels)}.",
            )


def check_uses(
    uses: Mapping[str, UseSettings],
    models: Mapping[str, ModelSettings],
    aliases: Mapping[str, str],
) -> None:
    """Raise `SettingsError` for a use that leads nowhere, or to a use, or against what is said of
    its model."""
    for use, own in uses.items():
        table = f"[uses.{use}]"
        if use not in USES:
            raise SettingsError(
                f"{table}: there is no use {use!r}.", next_step=f"Uses are {', '.join(USES)}."
            )
        if not own.model or own.model.startswith(USE):
            raise SettingsError(
                f"{table} names no model.", next_step='Add model = "smollm2:135m", say.'
            )
        name = aliases.get(own.model, own.model)
        if name.startswith(USE):  # else two could lead to each other
            raise SettingsError(
                f"{table} names {own.model}, which stands for {name}: no use leads to a use.",
                next_step=f"Name the model itself in {table}, or in [aliases].",
            )
        of_model = models.get(name, ModelSettings())
        if own.engine == "remote" and of_model.engine != "remote":
            raise SettingsError(
                f"{table}: nothing says where {name} is.",
                next_step=f'Write [models."{name}"] with engine = "remote" and base_url.',
            )
        if of_model.elsewhere and own.engine not in {"", of_model.engine}:
            raise SettingsError(
                f'{table}: {name} is asked for by {of_model.engine} ([models."{name}"]), '
                f"and cannot be run by {own.engine}.",
                next_step=f'Leave out engine = "{own.engine}".',
            )
