"""What a caller wants of an answer. A field that this shell does not know is refused by its name:
what an engine cannot do is never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

Json = dict[str, Any]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
MOST_LIKELY: Final = 100  # tokens that are named in each place
GRAMMAR: Final = "%llguidance"
# Fields that ask for nothing where they have these values: other engines know more of them.
IDLE: Final[Mapping[str, tuple[Any, ...]]] = {
    "best_of": (1,),
    "dry_multiplier": (0,),
    "echo": (False,),
    "function_call": ("none",),
    "id_slot": (-1,),
    "mirostat": (0,),
    "lora": ([],),
    "n": (1,),
    "n_probs": (0,),
    "reasoning_format": ("auto", "deepseek"),
    "tfs_z": (1,),
    "typical_p": (1,),
    "xtc_probability": (0,),
    # As noibo's own APIs ask llama.cpp to tell more besides: the answer is the same without.
    "response_fields": (["stop_type", "stopping_word"],),
    "timings_per_token": (False, True),
    "verbose": (False, True),
}
OF_MIROSTAT: Final = ("mirostat_tau", "mirostat_eta")  # say nothing without it


class Refused(Exception):
    """A request that cannot be served, with the status it is answered by."""

    def __init__(
        self, message: str, param: str = "", status: int = 400, kind: str = "", **details: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        kind = kind or ("invalid_request_error" if status < 500 else "not_supported_error")
        self.body = {"message": message, "type": kind, "code": status, "param": param, **details}


class Wanted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A body of `/v1/chat/completions`, `/v1/completions` or `/completion`."""

    model: str = ""
    messages: list[Json] | None = None
    prompt: str | list[int | str] | None = None
    stream: bool = False
    stream_options: Json | None = None
    return_progress: bool = False
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n_predict: Tokens | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: Share | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    repeat_last_n: Annotated[int, Meta(ge=-1)] | None = None
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    n_probs: int | None = None
    grammar: str | None = None
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: Json | None = None
    reasoning_effort: str | None = None
    add_generation_prompt: bool | None = None
    cache_prompt: bool = True

    @property
    def limit(self) -> int | None:
        """Tokens of the answer at most; None: nobody says."""
        said = (self.max_completion_tokens, self.max_tokens, self.n_predict)
        found = next((one for one in said if one is not None), None)
        return None if found is None or found < 0 else found

    @property
    def stops(self) -> list[str]:
        """Texts that end the answer."""
        said = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [one for one in said if one]

    @property
    def likely(self) -> int | None:
        """Likely tokens to name in each place; None: no log-probabilities are wanted."""
        if self.n_probs:
            return self.n_probs
        if self.logprobs is None or self.logprobs is False:
            return None
        told = self.top_logprobs if self.logprobs is True else self.logprobs
        return told or 0

    @property
    def calls(self) -> bool:
        """Tools may be called."""
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def usage(self) -> bool:
        """The stream is to end with what it took."""
        return bool((self.stream_options or {}).get("include_usage"))


def asks_nothing(name: str, value: Any) -> bool:
    """True of a field that is as good as not there."""
    return value is None or value in IDLE.get(name, ())


def read(said: bytes, engine: str) -> Wanted:
    """A body, checked. Raises `Refused`, which names the field."""
    fields = document(said)
    fields = {name: value for name, value in fields.items() if not asks_nothing(name, value)}
    if "mirostat" not in fields:
        for name in OF_MIROSTAT:
            fields.pop(name, None)
    if unknown := sorted(fields.keys() - set(Wanted.__struct_fields__)):
        raise Refused(f"{unknown[0]}: the engine {engine} does not do this.", unknown[0])
    if fields.get("response_format") or fields.get("json_schema"):
        raise Refused("response_format: it comes as a grammar.", "response_format")
    try:
        wanted = msgspec.convert(fields, Wanted)
    except msgspec.ValidationError as exc:
        raise Refused(*_named(str(exc))) from exc
    _check(wanted, engine)
    return wanted


def document(said: bytes) -> Json:
    """A body that is an object. Raises `Refused`."""
    try:
        return msgspec.json.decode(said, type=Json)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Refused(f"The request cannot be read: {exc}.") from exc


def _named(why: str) -> tuple[str, str]:
    """A reason and the field it is about, out of msgspec's words: "… - at `$.name`"."""
    words, _, place = why.partition(" - at `$.")
    name = place.rstrip("`").partition("[")[0]
    return (f"{name}: {words}." if name else f"{why}."), name


def _check(wanted: Wanted, engine: str) -> None:
    if (wanted.likely or 0) > MOST_LIKELY:
        raise Refused(f"logprobs: {MOST_LIKELY} tokens at most in each place.", "logprobs")
    if wanted.grammar and not wanted.grammar.lstrip().startswith(GRAMMAR):
        raise Refused(
            f"grammar: the engine {engine} reads {GRAMMAR} and no GBNF; say it as a JSON schema.",
            "grammar",
        )
    if wanted.calls and wanted.grammar:
        raise Refused("tools: not with a form of the answer.", "tools")
    if wanted.calls and wanted.tool_choice not in (None, "auto"):
        raise Refused(f"tool_choice: the engine {engine} knows auto and none.", "tool_choice")
    if wanted.tools and wanted.parallel_tool_calls is False:
        raise Refused(
            f"parallel_tool_calls: the engine {engine} cannot keep a model to one call.",
            "parallel_tool_calls",
        )
