"""All configuration: one frozen tree, and the only reader of the environment.

A value comes from, in rising order: its default, `noibo.toml` (in `NOIBO_HOME`, or `--config`),
a variable `NOIBO_<SECTION>_<KEY>`, an option of the command. `Settings.sources` remembers which.
Unknown keys are refused with the nearest known one, so that a typing error is never silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from noibo.errors import SettingsError
from noibo.model_settings import (
    AUTO,
    FIRST_THERE,
    USE,
    USES,
    Chance,
    ContextPolicy,
    ModelSettings,
    UseSettings,
    VirtualSettings,
    Whole,
    check_labels,
    check_uses,
    check_virtual,
    checked_model,
    with_full_names,
)
from noibo.money_settings import BudgetSettings, PriceSettings, Usage, check_budgets

FILE_NAME: Final = "noibo.toml"
LOCAL_NAME: Final = "local"  # of the model at routing.local.endpoint, where nobody gives it one
PREFIX: Final = "NOIBO_"
# Read before the tree exists, or (NOIBO_SHARED) by noibo's own tests: not keys of it.
OPENROUTER_KEY: Final = "OPENROUTER_API_KEY"
OUTSIDE_THE_TREE: Final = frozenset({"NOIBO_HOME", "NOIBO_CONFIG", "NOIBO_SHARED"})

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Words = tuple[str, ...]  # in the environment: with commas between
Pairs = Mapping[str, str]  # in the environment: public=leave,secret=stay
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=5)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
KvType = Literal["f16", "q8_0"]
Strategy = Literal["local_only", "api_only", "hybrid", "cascade", "cheapest_that_meets"]


def _key(
    default: Any, doc: str, also: str = "", *, always: bool = False, secret: bool = False
) -> Any:
    said = {"doc": doc, "also": also, "always": always, "secret": secret}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=said)
    return field(default=default, repr=not secret, metadata=said)


@dataclass(frozen=True, slots=True)
class Server:
    """Where noibo listens."""

    host: str = _key(
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 is all of this machine's, for which there must be a key.",
    )
    port: Port = _key(11500, "Port to listen on; 0 takes a free one.")
    shutdown_grace_s: Seconds = _key(
        30.0, "Seconds that answers under way may still take when the server is told to stop."
    )
    connections: Count = _key(
        4096, "Connections at the same time; one address elsewhere may have half of those left."
    )
    stall_s: Seconds = _key(
        60.0, "Seconds a caller may stand still in the middle of its request, or of its answer."
    )
    max_body_bytes: Count = _key(64 * 2**20, "Largest request body taken.")
    max_file_bytes: Count = _key(512 * 2**20, "Largest file taken (POST /v1/files).")
    keep_responses_days: Days = _key(
        30, "Days for which responses (POST /v1/responses) are kept; 0: for ever."
    )
    require_key: bool = _key(False, "Want a key or a session also from programs on this machine.")
    context_policy: ContextPolicy = _key(
        "",
        "What becomes of a request over its model's window, where it does not say: refuse, "
        "drop_oldest, summarise; empty: refuse, and drop_oldest for Ollama's clients and editors.",
    )
    allowed_hosts: Words = _key(
        (), "Names this server goes by, besides localhost, its host name and plain addresses."
    )
    allowed_origins: Words = _key(
        (), "Pages from elsewhere that may ask and read answers: https://app.example.vn."
    )
    tls_cert: str = _key("", "File with this server's certificate, as PEM; empty: no TLS.")
    tls_key: str = _key("", "File with its private key; empty: in the same file.")
    ollama_port: Port = _key(
        0, "A second port to listen on, for clients of Ollama (11434); 0: none."
    )


@dataclass(frozen=True, slots=True)
class Engine:
    """How models are run."""

    default: str = _key("llama_cpp", "Engine for GGUF models: llama_cpp, or llama_server.")
    llama_server: str = _key("", "Path of a llama-server of yours; empty: the one on PATH.")
    ctx_size: Whole = _key(
        0,
        "Context length in tokens for each caller; 0: what the model was trained for, up to 4096.",
    )
    parallel: Whole = _key(
        0, "Answers one worker gives at the same time (its slots); 0: by memory and use."
    )
    kv_type: KvType = _key(
        "f16", "How the state of a conversation is held: f16, or q8_0 in half of the memory."
    )
    threads: Whole = _key(0, "Threads for a worker; 0: one for each core.")
    require_gpu: bool = _key(
        False, "Fail a load that no GPU would take part in, instead of using the processor."
    )
    batch_seconds: Seconds = _key(
        0.6, "A prompt is read in batches sized to take about this long, so that cancel is prompt."
    )
    start_stall_s: Seconds = _key(
        60.0, "A start fails after this long without any progress (not after a total)."
    )
    answer_stall_s: Seconds = _key(
        120.0, "A worker that owes answers and does nothing for this long is replaced."
    )
    isolation: bool = _key(
        True, "Close workers off from files, network and memory that they do not need."
    )
    stop_grace_s: Seconds = _key(5.0, "Seconds a worker gets to stop before it is killed.")


@dataclass(frozen=True, slots=True)
class Memory:
    """What the loaded models may take together, and for how long."""

    budget: str = _key(
        "75%", "Memory for all workers: a share of the machine's, as 75%, or a size, as 8GB."
    )
    keep_alive: str = _key(
        "5m", "How long a model stays loaded after its last answer: 90s, 5m, 1h; 0; -1: for ever."
    )
    conversations: str = _key(
        "5%", "Most that the state of idle conversations may take in one worker; 0: none is kept."
    )


@dataclass(frozen=True, slots=True)
class Queue:
    """How requests wait when all slots are taken."""

    longest: Count = _key(
        512, "Requests that may wait; one caller alone may take half of the places that are left."
    )
    say_after_s: Seconds = _key(
        2.0, "A streamed request that waits longer is told its place, again and again."
    )
    alive_s: Seconds = _key(10.0, "A stream that is silent for this long gets a comment.")


@dataclass(frozen=True, slots=True)
class Store:
    """Where models lie."""

    path: str = _key("", "Folder for models; empty: `models` in NOIBO_HOME.")


@dataclass(frozen=True, slots=True)
class Fetch:
    """How models are fetched, and from where."""

    connections: Count = _key(4, "Parts of one file that are fetched at the same time.")
    hub: str = _key(
        "", "Address of Hugging Face or a mirror; empty: HF_ENDPOINT, else https://huggingface.co."
    )
    hub_mirrors: Words = _key((), "Further addresses of the hub, tried in turn.")
    registry: str = _key("https://registry.ollama.ai", "Address of Ollama's registry or a mirror.")
    github: str = _key("https://api.github.com", "Address of GitHub's API.")
    engine_index: str = _key(
        "https://xorbitsai.github.io/xllamacpp/whl/{build}",
        "Package index with llama.cpp's builds for GPUs; {build} is cu128, vulkan and so on.",
    )
    private_hosts: Words = _key(
        (), "Hosts of your own network that a redirect may lead to, as HOST or HOST:PORT."
    )


@dataclass(frozen=True, slots=True)
class Licences:
    """Which licences models may have here."""

    allowed: Words = _key(
        (),
        "Kinds (permissive, copyleft, llama, gemma, community, rail, non-commercial, research, "
        "proprietary, other, unknown) or names of licences that may be pulled, imported and "
        "loaded; empty: all.",
    )


@dataclass(frozen=True, slots=True)
class Database:
    """Where responses, files and batches are kept."""

    url: str = _key("", "Address of the database, as SQLAlchemy has them; empty: in NOIBO_HOME.")


@dataclass(frozen=True, slots=True)
class Log:
    """What is logged. Prompts and secrets never are."""

    level: LogLevel = _key("info", "debug, info, warning or error.")
    format: LogFormat = _key("text", "text, for people, or json: an object a line, for programs.")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Who is told about requests, and is not asked for it. By default nobody."""

    otlp_endpoint: str = _key(
        "",
        "Address of an OpenTelemetry collector that spans are sent to, as http://127.0.0.1:4318; "
        "empty: none are made.",
    )


@dataclass(frozen=True, slots=True)
class Llm:
    """What `noibo.llm_service` starts from: a program's own model, without a server. Such a program
    may set each by a plain variable too, which a server does not read."""

    model_path: str = _key(
        "",
        "GGUF file, folder that holds one, or name of a model; empty: the folder models/llm where "
        "the program runs, else default_model.",
        "LLM_MODEL_PATH",
    )
    max_length: Whole = _key(
        0,
        "Context length in tokens, prompt and answer together; 0: as engine.ctx_size.",
        "MAX_LENGTH",
    )
    use_quantization: bool = _key(
        True, "False: weights as they were trained, F16, BF16 or F32.", "USE_QUANTIZATION"
    )
    load_in_8bit: bool = _key(False, "Take the Q8_0 of the model.", "LOAD_IN_8BIT")
    load_in_4bit: bool = _key(False, "Take the Q4_K_M of the model.", "LOAD_IN_4BIT")
    max_tokens: Count = _key(1000, "Tokens of an answer, at most.", "DEFAULT_MAX_TOKENS")
    temperature: Temperature = _key(
        0.7, "0: always the likeliest token; more: freer.", "DEFAULT_TEMPERATURE"
    )
    top_p: Share = _key(
        0.9, "Tokens are drawn from the likeliest that make up this share.", "DEFAULT_TOP_P"
    )
    top_k: Whole = _key(
        50, "Tokens are drawn from so many of the likeliest; 0: from all.", "DEFAULT_TOP_K"
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is stored is kept. Responses have server.keep_responses_days, and what calls
    cost usage.keep_days."""

    files_days: Days = _key(
        0, "Days for which uploaded files are kept; 0: for as long as they say themselves."
    )
    batches_days: Days = _key(
        0, "Days for which batches are kept that have ended, and their results; 0: for ever."
    )
    egress_days: Days = _key(0, "Days for which rows of what left are kept; 0: for ever.")
    audit_days: Days = _key(
        0, "Days for which rows of what administrators did are kept; 0: for ever."
    )


@dataclass(frozen=True, slots=True)
class Encryption:
    """Encryption of what is stored: the texts in the database, and uploaded files."""

    key: str = _key(
        "",
        "Where the key is: file:PATH, env:NAME or keyring:SERVICE/USER; empty: nothing is sealed. "
        "`noibo privacy new-key` makes one.",
    )
    former_keys: Words = _key(
        (), "Where keys of before are, by which something may still be sealed."
    )


@dataclass(frozen=True, slots=True)
class Privacy:
    """What may leave this machine, and how."""

    labels: Words = _key(
        ("public", "internal", "personal", "secret"),
        "What a text can be, rising; the highest of what is said of it, and found in it, holds.",
    )
    rules: Pairs = _key(
        {},
        "What each label allows: leave, redact (with placeholders for what is personal) or stay; "
        "where nothing is said: public and internal leave, personal is redacted, others stay.",
    )
    default_label: str = _key("internal", "Label of a request of which nobody says one.")
    detect: bool = _key(
        True,
        "Look for personal data in every text; false: what only leaves redacted stays.",
    )
    detect_s: Seconds = _key(
        10.0, "Seconds that looking through one request may take; after that it stays."
    )
    types: Pairs = _key(
        {},
        "Label that a text has where such is found in it, as PERSON, CCCD, IP; where nothing is "
        "said: the highest for API_KEY and PRIVATE_KEY.",
    )
    other_types: str = _key("personal", "Label of all findings that privacy.types does not name.")
    unscanned: str = _key(
        "personal",
        "Label of what cannot be looked into: pictures, sound, PDF. What is redacted by rule stays "
        "then, for it cannot be.",
    )
    callers: Pairs = _key(
        {},
        "Label of all that somebody asks, as key:NAME or user:NAME; with what else is said of it "
        "the highest holds.",
    )
    instruct: bool = _key(
        True, "Tell a model that gets placeholders to keep them as they are, in a system message."
    )


@dataclass(frozen=True, slots=True)
class RoutingLocal:
    """The model of this machine, or of the house's own server, that `auto` asks."""

    model: str = _key("", "Its name; empty: default_model, or the first of routing.local.endpoint.")
    endpoint: str = _key(
        "",
        "Where another server of yours has it, as http://localhost:8000/v1; empty: noibo itself.",
        "LOCAL_LLM_URL",
        always=True,
    )
    max_tokens: Whole = _key(0, "Most tokens of its answers where a request does not say; 0: open.")
    temperature: Temperature | None = _key(None, "Of its answers where a request does not say.")


@dataclass(frozen=True, slots=True)
class RoutingApi:
    """The larger model elsewhere that `auto` asks, once routing.strategy lets it."""

    model: str = _key("openai/gpt-4o-mini", "Its name there.")
    endpoint: str = _key("https://openrouter.ai/api/v1", "Where it is.")
    key: str = _key(
        "",
        "The key that is wanted there; or keyring:SERVICE/USER; empty: auto asks nobody there.",
        OPENROUTER_KEY,
        always=True,
        secret=True,
    )
    max_tokens: Whole = _key(0, "As routing.local.max_tokens.")
    temperature: Temperature | None = _key(None, "As routing.local.temperature.")


@dataclass(frozen=True, slots=True)
class Routing:
    """Which model answers where `auto`, or another virtual model, is asked."""

    strategy: Strategy = _key(
        "local_only",
        "local_only, api_only, hybrid (simple: local; medium: local, checked, then API; complex: "
        "API), cascade (local, and on while it is not good), cheapest_that_meets (quality).",
        "LLM_STRATEGY",
        always=True,
    )
    simple_threshold: Chance = _key(
        0.7, "From this chance that the local model is right a request is simple."
    )
    complex_threshold: Chance = _key(0.4, "Under this chance a request is complex.")
    confidence: Chance = _key(
        0.5, "A checked answer that is right with a smaller chance is not good."
    )
    quality: Chance = _key(0.8, "Chance of a right answer that cheapest_that_meets looks for.")
    api_fallback: bool = _key(
        True, "False: a local answer that fails or is not good goes to nobody elsewhere."
    )
    max_api_calls_per_hour: Whole = _key(0, "Calls of models elsewhere in any hour; 0: no limit.")
    judge: str = _key(
        "", "Model that is asked besides whether a local answer is good; empty: none."
    )
    samples: Annotated[int, msgspec.Meta(ge=1, le=9)] = _key(
        1, "Answers that a local model is asked for where one is checked, to see if they agree."
    )
    sticky: bool = _key(True, "A conversation keeps its model until there is a reason.")
    local: RoutingLocal = field(default_factory=RoutingLocal)
    api: RoutingApi = field(default_factory=RoutingApi)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree. `home`, `file` and `sources` are facts about it, not keys of it."""

    offline: bool = _key(False, "Refuse every outbound connection, whatever else is set.")
    default_model: str = _key("smollm2:135m", "Model used when none is named.")
    server: Server = field(default_factory=Server)
    engine: Engine = field(default_factory=Engine)
    memory: Memory = field(default_factory=Memory)
    queue: Queue = field(default_factory=Queue)
    store: Store = field(default_factory=Store)
    fetch: Fetch = field(default_factory=Fetch)
    licences: Licences = field(default_factory=Licences)
    database: Database = field(default_factory=Database)
    log: Log = field(default_factory=Log)
    telemetry: Telemetry = field(default_factory=Telemetry)
    llm: Llm = field(default_factory=Llm)
    privacy: Privacy = field(default_factory=Privacy)
    retention: Retention = field(default_factory=Retention)
    encryption: Encryption = field(default_factory=Encryption)
    routing: Routing = field(default_factory=Routing)
    usage: Usage = field(default_factory=Usage)
    prices: Mapping[str, PriceSettings] = field(default_factory=dict, metadata={"table": True})
    budgets: Mapping[str, BudgetSettings] = field(default_factory=dict, metadata={"table": True})
    aliases: Mapping[str, str] = field(default_factory=dict, metadata={"table": True})
    models: Mapping[str, ModelSettings] = field(default_factory=dict, metadata={"table": True})
    uses: Mapping[str, UseSettings] = field(default_factory=dict, metadata={"table": True})
    virtual: Mapping[str, VirtualSettings] = field(default_factory=dict, metadata={"table": True})
    home: Path = field(default=Path(), metadata={"fact": True})
    file: Path = field(default=Path(), metadata={"fact": True})
    sources: Mapping[str, str] = field(default_factory=dict, metadata={"fact": True})

    @property
    def models_folder(self) -> Path:
        """The model store's folder."""
        return Path(self.store.path) if self.store.path else self.home / "models"

    @property
    def reserved(self) -> list[str]:
        """Names that lead somewhere already: no model can have them."""
        return [*self.aliases, *(USE + use for use in USES), AUTO, *self.virtual]

    @property
    def local_name(self) -> str:
        """The name here of the local model that `auto` asks."""
        local = self.routing.local
        return local.model or (LOCAL_NAME if local.endpoint else self.default_model)

    @property
    def api_name(self) -> str:
        """The name of the model elsewhere that `auto` asks; empty: nobody there is asked."""
        strategies = {own.strategy or self.routing.strategy for own in self.virtual.values()}
        leaves = {self.routing.strategy, *strategies} != {"local_only"}
        return self.routing.api.model if leaves and self.routing.api.key else ""

    @property
    def keyed_for_openrouter(self) -> bool:
        """Whether the API that `auto` asks takes OpenRouter's key: then it is that, or hands on to
        it, whatever its address."""
        return self.sources.get("routing.api.key") == OPENROUTER_KEY

    @property
    def url(self) -> str:
        """Address of the server as a client types it."""
        host = "127.0.0.1" if self.server.host in {"0.0.0.0", "::", ""} else self.server.host  # noqa: S104
        return self.url_at(host, self.server.port)

    def url_at(self, host: str, port: int) -> str:
        """Address of the server, where it listens there."""
        return f"{'https' if self.server.tls_cert else 'http'}://{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Key:
    """One leaf of the tree: its dotted name, type, default, documentation and variable."""

    name: str
    type: Any
    default: Any
    doc: str
    secret: bool = False
    also: str = ""  # a plain variable for it, read only where that is asked for
    always: bool = False  # that variable is read by servers too

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()


def keys(tree: type = Settings, prefix: str = "") -> Iterator[Key]:
    """Every key of the tree, in order of declaration."""
    hints = get_type_hints(tree, include_extras=True)
    for leaf in dataclasses.fields(tree):
        if leaf.metadata.get("fact") or leaf.metadata.get("table"):
            continue
        kind = hints[leaf.name]
        if dataclasses.is_dataclass(kind):
            yield from keys(kind, f"{prefix}{leaf.name}.")  # type: ignore[arg-type]
        else:
            secret = leaf.metadata.get("secret", False)
            also = leaf.metadata.get("also", "")
            made = leaf.default_factory
            default = leaf.default if made is dataclasses.MISSING else made()
            always = leaf.metadata.get("always", False)
            doc = leaf.metadata["doc"]
            yield Key(prefix + leaf.name, kind, default, doc, secret, also, always)


def load(
    *,
    config: Path | None = None,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    plain: bool = False,
) -> Settings:
    """Read file, environment and options (dotted names to values; None counts as not given).
    `plain`: read `LLM_MODEL_PATH`, `MAX_LENGTH` … too; a variable of NOIBO_… wins."""
    environ = os.environ if environ is None else environ
    home = find_home(environ)
    known = {key.name: key for key in keys()}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(key: Key, value: Any, source: str) -> None:
        values[key.name] = _typed(key, value, source)
        sources[key.name] = source

    named = config or (Path(environ["NOIBO_CONFIG"]) if environ.get("NOIBO_CONFIG") else None)
    path = _expanded(named or home / FILE_NAME, "--config").absolute()
    written = _read_file(path, required=named is not None)
    models = {
        name: checked_model(name, own, environ)
        for name, own in _tables(written.pop("models", {}), "models", ModelSettings, str(path))
    }
    uses = dict(_tables(written.pop("uses", {}), "uses", UseSettings, str(path)))
    prices = dict(_tables(written.pop("prices", {}), "prices", PriceSettings, str(path)))
    budgets = dict(_tables(written.pop("budgets", {}), "budgets", BudgetSettings, str(path)))
    check_budgets(budgets)
    aliases = _aliases(written.pop("aliases", {}), str(path))
    check_uses(uses, models, aliases)
    virtual = dict(_tables(written.pop("virtual", {}), "virtual", VirtualSettings, str(path)))
    check_virtual(virtual, models, aliases)
    for name, value in _flatten(written, known):
        if name not in known:
            raise _unknown(name, known, str(path))
        take(known[name], value, str(path))
    for key in known.values():
        if key.also and (plain or key.always) and environ.get(key.also):
            take(key, environ[key.also], key.also)
    variables = {key.variable: key for key in known.values()}
    for variable in sorted(v for v in environ if v.startswith(PREFIX)):
        if variable in OUTSIDE_THE_TREE:
            continue
        if variable not in variables:
            raise _unknown(variable, variables, "the environment")
        take(variables[variable], environ[variable], variable)
    for name, value in (options or {}).items():
        if value is not None:
            take(known[name], value, "option")
    if values.get("store.path"):  # a server in the background runs in another folder
        beside = path.parent if sources["store.path"] == str(path) else Path.cwd()
        values["store.path"] = str(beside / _expanded(values["store.path"], "store.path"))
    came_from = {name: sources.get(name, "default") for name in known}
    built = _build(
        values,
        Settings(
            home=home,
            file=path,
            sources=came_from,
            models=models,
            uses=uses,
            aliases=aliases,
            virtual=virtual,
            prices=prices,
            budgets=budgets,
        ),
    )
    check_labels(models, built.privacy.labels)
    return dataclasses.replace(built, models={**_routed(built, environ), **with_full_names(models)})


def _routed(settings: Settings, environ: Mapping[str, str]) -> dict[str, ModelSettings]:
    """The models that `[routing.local]` and `[routing.api]` name, as if each had a table. The one
    elsewhere is there only where a strategy may ask it: a key in the environment opens nothing. It
    is elsewhere at an address of this machine too: what is asked there was called an API."""
    local, api = settings.routing.local, settings.routing.api
    found = {}
    if local.endpoint:  # http is refused but in one's own network, so what is there is one's own
        own = ModelSettings(
            engine="remote",
            base_url=local.endpoint,
            model=local.model or FIRST_THERE,
            trusted=local.endpoint.startswith("http://"),
        )
        found[settings.local_name] = own
    if settings.api_name:
        found[api.model] = ModelSettings(
            engine="remote",
            base_url=api.endpoint,
            api_key=api.key,
            hands_on=True,
            openrouter=settings.keyed_for_openrouter,
        )
    return {name: checked_model(name, own, environ) for name, own in found.items()}


def find_home(environ: Mapping[str, str] | None = None) -> Path:
    """`NOIBO_HOME`, or the platform's folder for data of this user."""
    environ = os.environ if environ is None else environ
    if environ.get("NOIBO_HOME"):
        return _expanded(environ["NOIBO_HOME"], "NOIBO_HOME").absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("noibo", appauthor=False))


def _expanded(path: str | Path, name: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as exc:
        raise SettingsError(f"{name}: {path} names no home of a user here ({exc}).") from exc


def bare_environment() -> dict[str, str]:
    """What a child process needs of the environment, by name: no secret is handed down."""
    wanted = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")
    hardware = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    bare = {name: os.environ[name] for name in wanted + hardware if name in os.environ}
    return bare | {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def tell_libraries(variables: Mapping[str, str]) -> None:
    """Set what libraries read of the environment, in a worker's own process, before they are
    imported."""
    os.environ.update(variables)


def full_environment() -> dict[str, str]:
    """The user's whole environment, for a program that is the user's own (pip)."""
    return dict(os.environ)


def other_programs(environ: Mapping[str, str] | None = None) -> dict[str, tuple[Path, ...]]:
    """Where other programs keep models, there or not; of LM Studio, the user's home, which says."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path("~").expanduser())

    def said(name: str, *below: str) -> tuple[Path, ...]:
        """A folder that a variable names, as these programs read it."""
        text = os.path.expandvars(environ.get(name, "").strip().strip("\"'"))
        if not text:
            return ()
        own = home / text[2:] if text.startswith(("~/", "~\\")) else Path(text)
        return (own.joinpath(*below).absolute(),)

    (cache,) = said("XDG_CACHE_HOME") or (home / ".cache",)
    library = home / "Library"
    hubs = said("HF_HUB_CACHE") + said("HUGGINGFACE_HUB_CACHE") + said("HF_HOME", "hub")
    data = ((library / "Application Support",), said("APPDATA"), said("XDG_DATA_HOME"))
    shares = (*(one for some in data for one in some), home / ".local" / "share")
    services = (
        "/usr/share/ollama/.ollama/models",
        "/var/lib/ollama",
        "/var/snap/ollama/common/models",
    )
    return {
        "Ollama": (*said("OLLAMA_MODELS"), home / ".ollama" / "models", *map(Path, services)),
        "Hugging Face": (*hubs, cache / "huggingface" / "hub"),
        "LM Studio": (home,),
        "llama.cpp": (
            *said("LLAMA_CACHE"),
            cache / "llama.cpp",
            library / "Caches" / "llama.cpp",
            *said("LOCALAPPDATA", "llama.cpp"),
        ),
        "Jan": tuple(one / "Jan" / "data" / "llamacpp" / "models" for one in shares),
        "GPT4All": tuple(one / "nomic.ai" / "GPT4All" for one in (*shares, *said("LOCALAPPDATA"))),
    }


def python_executable() -> str:
    """The interpreter that runs noibo, for its children."""
    return sys.executable


def _read_file(where: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError(
            f"There is no settings file {where}.", next_step="Check --config, or NOIBO_CONFIG."
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{where} cannot be read: {exc}.") from exc
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise SettingsError(
            f"{where} is not TOML: {exc}.", next_step="`noibo config show` says what it may hold."
        ) from exc


def _flatten(
    tree: Mapping[str, Any], known: Mapping[str, Key], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and prefix + name not in known:  # Pairs are a key's value
            yield from _flatten(value, known, f"{prefix}{name}.")
        else:
            yield prefix + name, value


Table = TypeVar("Table", ModelSettings, UseSettings, VirtualSettings, PriceSettings, BudgetSettings)


def _tables(
    tables: Any, section: str, kind: type[Table], where: str
) -> Iterator[tuple[str, Table]]:
    """The tables of single models, or of uses. A name may hold dots, so these are not keys of the
    tree."""
    known = {f"{section}.NAME.{key.name}": key for key in keys(kind)}
    for name, table in tables.items() if isinstance(tables, dict) else [("", tables)]:
        if not isinstance(table, dict):
            raise SettingsError(
                f"{section}.{name} in {where} is not a table.",
                next_step=f'Write [{section}."{name or "NAME"}"], and its keys below.',
            )
        values = {}
        for leaf, value in table.items():
            key = known.get(f"{section}.NAME.{leaf}")
            if key is None:
                place = f'{where}, table [{section}."{name}"]'
                raise _unknown(f"{section}.NAME.{leaf}", known, place)
            values[leaf] = _typed(key, value, f'{where}, [{section}."{name}"]')
        yield name, kind(**values)


def _aliases(table: Any, where: str) -> dict[str, str]:
    """Names that callers may use for models, as `"gpt-4o-mini" = "qwen3:4b"`."""
    if not isinstance(table, dict) or not all(isinstance(v, str) and v for v in table.values()):
        raise SettingsError(
            f"aliases in {where} is not a table of names.",
            next_step='Write [aliases], and lines such as "gpt-4o-mini" = "smollm2:135m" below.',
        )
    return dict(table)


def _unknown(name: str, known: Mapping[str, Any], where: str) -> SettingsError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else "`noibo config show` lists what there is."
    return SettingsError(f"Unknown setting {name!r} in {where}.", next_step=hint)


def _typed(key: Key, value: Any, source: str) -> Any:
    if isinstance(value, str) and _wants_bool(key.type):
        value = {"1": True, "true": True, "yes": True, "on": True}.get(
            value.lower(),
            {"0": False, "false": False, "no": False, "off": False}.get(value.lower(), value),
        )
    if isinstance(value, str) and key.type == Words:
        value = [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, str) and key.type == Pairs:
        parts = (word.partition("=") for word in value.split(",") if word.strip())
        value = {name.strip(): said.strip() for name, _, said in parts}
    try:
        return msgspec.convert(value, key.type, strict=not isinstance(value, str))
    except msgspec.ValidationError as exc:
        raise SettingsError(
            f"{key.name} = {'…' if key.secret else repr(value)} (from {source}) is no good: {exc}.",
            next_step=f"{key.name}: {key.doc}",
        ) from exc


def _wants_bool(kind: Any) -> bool:
    if get_origin(kind) in {Union, UnionType, Annotated}:
        return any(_wants_bool(part) for part in get_args(kind))
    return kind is bool


def _build(values: Mapping[str, Any], settings: Settings) -> Settings:
    for name, value in values.items():
        settings = _with(settings, name, value)
    return settings


def _with(part: Any, name: str, value: Any) -> Any:
    """A part of the tree with another value at a dotted name."""
    section, _, rest = name.partition(".")
    new = _with(getattr(part, section), rest, value) if rest else value
    return dataclasses.replace(part, **{section: new})


def variable(name: str) -> str:
    """A variable of the environment that a setting names, as env:NAME; empty where there is
    none."""
    return os.environ.get(name, "")
