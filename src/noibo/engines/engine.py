"""What an adapter must say about its engine.

An engine is a program that speaks OpenAI's HTTP protocol on loopback. An adapter does not wrap its
calls: it says how a worker process is started, which of five verbs that process can do and how
well, and the few places where its dialect differs from what noibo promises its callers.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from noibo import settings
from noibo.engines.line import Waits
from noibo.engines.memory.size import Need, Size, Use
from noibo.model_settings import RUNNING
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.offer import Defaults

if TYPE_CHECKING:
    from noibo.engines.remote.breaker import Breaker
    from noibo.engines.remote.dialect import Dialect
    from noibo.engines.remote.place import Place


class Verb(Enum):
    """What noibo asks of engines."""

    GENERATE = "generate"  # continue a text or a chat, streamed
    SCORE = "score"  # log-probabilities of a given text
    EMBED = "embed"  # a vector for a text
    TOKENISE = "tokenise"  # text to token ids and back, a chat to the text of its template
    CANCEL = "cancel"  # free the slot of an answer nobody waits for


class Support(Enum):
    """How well an engine does a verb. What is `NONE` is refused, never dropped."""

    NATIVE = "native"
    EMULATED = "emulated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Model:
    """A model as an engine needs to see it: ready on disk, or nothing on disk at all (echo).

    `template` is a chat template to use instead of the one in the file, or for want of one.
    `info` is what the file's header says of it, `bytes` the size of all its files. `verb` is what
    its worker is started for: an engine may need another worker to embed than to chat. `context`
    is how many tokens of it callers asked for at least; 0: nobody did. `apart` is the engine that a
    use has it run by, where that is not the model's own: then it has a worker of its own there.
    `adapter`: what its server calls the LoRA adapter that is asked for; the worker is the model's.
    """

    name: str
    engine: str
    path: Path | None = None
    parameters: int = 0
    trained_context: int = 0
    format: str = "gguf"
    projector: Path | None = None
    adapters: tuple[Path, ...] = ()
    template: str | None = None
    defaults: Defaults = Defaults()
    info: ModelInfo | None = None
    bytes: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    verb: Verb = Verb.GENERATE
    context: int = 0
    apart: str = ""
    adapter: str = field(default="", compare=False)

    @property
    def chat_template(self) -> str:
        """The template that its chats are written by; empty where there is none."""
        return self.template or (self.info and self.info.chat_template) or ""

    @property
    def seat(self) -> str:
        """What tells its worker from any other: a verb may need a worker of its own, or an engine
        that a use has chosen."""
        name = f"{self.name} @{self.apart}" if self.apart else self.name
        return name if self.verb is Verb.GENERATE else f"{name} ({self.verb.value})"

    @property
    def called(self) -> str:
        """The name of what answers: an adapter has its own."""
        return self.adapter or self.name

    @property
    def asked(self) -> str:
        """What leads to just this: with the engine that runs it, where that is not its own."""
        return f"{self.called}@{self.apart}" if self.apart in RUNNING else self.called

    @property
    def base(self) -> Model:
        """Without its adapter, as its worker sees it."""
        return replace(self, adapter="") if self.adapter else self


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server elsewhere is waited for, and how often it is asked again."""

    waits: Waits
    retries: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a model is served by a program that is not ours, with what key, and how it is asked.
    `breaker`: of its address, whichever models are there. `trusted`: it is a server of one's own
    like this one, and whatever may be said here may be said there."""

    place: Place
    key: str = field(repr=False)
    model: str
    dialect: Dialect
    breaker: Breaker
    patience: Patience
    trusted: bool = False

    @property
    def url(self) -> str:
        """Its address."""
        return self.place.url


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one worker; with a `reach`, how to get at one that nobody here starts.

    `module` is run by our own interpreter, or by `python`, that of another environment. `config`
    goes down its standard input as one JSON line, so that no key stands in a command line or an
    environment that other users can read. `reads` are the files that the process may read besides
    its own program, `runs` those it may run. A new worker reads a prompt of `proof_tokens` before
    anybody else may ask it: that proves the build, and measures it. `dialect`: how its server is
    asked where that differs from llama.cpp's; `talks`: its processes talk to each other, so that
    it is closed off from files only.
    """

    module: str
    config: Mapping[str, Any]
    size: Size
    need: Need = Need()
    reads: tuple[Path, ...] = ()
    runs: tuple[Path, ...] = ()
    proof_tokens: int = 0
    placement: Mapping[str, Any] = field(default_factory=dict)
    reach: Reach | None = None
    python: str = ""
    dialect: Dialect | None = None
    talks: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """What is known of a model's speed here: prompt tokens/s, and whether to measure again."""

    prefill_rate: float | None = None
    measure: bool = True


# One field of a request body, undecoded: what nobody needs to look at passes through as it came.
Fields = MutableMapping[str, msgspec.Raw]
TRUE = msgspec.Raw(b"true")
# Fields that say which form an answer must have.
FORMS = ("response_format", "json_schema", "grammar", "tools")


def plain(value: Any) -> Any:
    """What a field says; one that is decoded already is what it is."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


class Engine(Protocol):
    """An adapter. One instance serves every model of its engine."""

    name: str
    verbs: Mapping[Verb, Support]
    several: bool  # one request may ask for several answers (`n`), and its prompt is read once
    foreign: bool  # another program's server: it is asked as the caller asks, and says what it can
    remedy: str  # what to do where its build cannot run on this processor

    def serving(self, model: Model, verb: Verb) -> Model:
        """The model as the worker that does `verb` sees it: itself, or with another `verb`. Raises
        `NotSupported` for what this engine cannot do with this model."""

    def available(self) -> str:
        """Version of the engine. Raises `EngineMissing` with the command that installs it."""

    def build(self) -> str:
        """Which build of the engine is installed: another name after it was installed anew."""

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        """From the size that is wanted down to the least that makes sense. `kept_bytes` is the most
        that the state of idle conversations may take."""

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        """What a worker of that size takes, by what the model's header says."""

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        """How to start a worker for `model`."""

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        """What the engine's own log says of what it put where."""

    def constrain(self, fields: Fields, model: Model) -> None:
        """Say, in place, which form an answer of `model` must have, as this engine keeps to it for
        certain. Raises `InvalidRequest` for what it cannot. Called where there is one of `FORMS`,
        not on the event loop."""

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        """Change a request's fields, in place, so that this engine streams it and can cancel it.

        `streamed` says what the caller asked for: where it was not, the stream must carry all that
        the whole answer is put together from, the usage too."""

    def is_progress(self, events: bytes) -> bool:
        """True if one of these stream events only reports on the reading of the prompt."""
