"""How a caller wants its answer told where engines tell it otherwise, and the answer told so.

One caller's request may be several of an engine's: a choice each, a prompt each. Their chunks are
told as those of one answer, with indexes, log-probabilities, calls and counts as OpenAI has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from noibo.wire.body import Json
from noibo.wire.openai import Assembler
from noibo.wire.openai.calls import Call
from noibo.wire.openai.logprobs import as_chat, as_text

_HEAD: Final = ("id", "created", "model", "system_fingerprint", "object")
_KNOWN: Final = frozenset({*_HEAD, "choices", "usage"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What was asked for. `drawn` choices are made of each prompt, the best `choices` are shown.
    `top_logprobs` of each token; None: no log-probabilities at all. `functions`: calls are told as
    before there were tools. `usage`: a stream ends with what it took. `forced`: the answer is a
    call, written as JSON. `silent`: one token was asked for, and none wanted."""

    chat: bool
    streamed: bool = False
    choices: int = 1
    drawn: int = 1
    usage: bool = False
    top_logprobs: int | None = None
    functions: bool = False
    forced: bool = False
    silent: bool = False

    @property
    def ranked(self) -> bool:
        return self.drawn > self.choices


@dataclass(frozen=True, slots=True)
class Lead:
    """What stands in front of every answer to one prompt: the prompt, with `echo`. `logprobs` in
    the shape of text completions."""

    text: str = ""
    logprobs: Json | None = None


@dataclass(slots=True)
class _Choice:
    """What has been told of one choice: `written` characters."""

    lead: Lead | None
    written: int = 0
    logprob: float = 0.0
    tokens: int = 0
    call: Call = field(default_factory=Call)

    @property
    def rank(self) -> float:
        """The mean log-probability of its tokens."""
        return self.logprob / max(self.tokens, 1)


@dataclass(slots=True)
class Told:
    """One answer, while it is told. `leads` has one for each prompt, or is empty. `about`: what is
    said of it besides, at its end."""

    shape: Shape
    leads: Sequence[Lead] = ()
    about: Json = field(default_factory=dict)
    _head: Json = field(default_factory=dict)
    _choices: dict[int, _Choice] = field(default_factory=dict)
    _usage: list[tuple[int, Json]] = field(default_factory=list)
    _more: Json = field(default_factory=dict)  # what else engines say, as how long it took
    _assembler: Assembler = field(init=False)

    def __post_init__(self) -> None:
        self._assembler = Assembler(chat=self.shape.chat)

    def chunk(self, event: Json, prompt: int, first: int) -> Json | None:
        """One of the engine's chunks as the caller's; None where it says nothing for the caller.

        The engine was asked for choices of this prompt from number `first` on."""
        self._head = self._head or {name: event[name] for name in _HEAD if name in event}
        if event.get("usage"):
            self._usage.append((prompt, event["usage"]))
        self._more |= {name: event[name] for name in event if name not in _KNOWN}
        told = [self._choice(one, prompt, first) for one in event.get("choices") or ()]
        choices = [one for one in told if _says_anything(one)]
        if not choices:
            return None
        return self._event(choices)

    def _event(self, choices: list[Json]) -> Json:
        event = {**self._head, "choices": choices}
        if self.about and any(choice.get("finish_reason") for choice in choices):
            event |= self.about
        if self.shape.usage:
            event["usage"] = None
        if not self.shape.streamed:
            self._assembler.add(event)
        return event

    def last(self) -> Json | None:
        """The chunk that ends a stream with what it took, if that was asked for."""
        if not self.shape.usage:
            return None
        told = {"usage": self.usage(), **self._of_one(), **self.about}
        return {**self._head, "choices": [], **told}

    def whole(self) -> Json:
        """The whole answer."""
        answer = self._assembler.answer()
        if self.shape.ranked:
            answer["choices"] = self._best(answer["choices"])
        for choice in answer["choices"]:
            if self.shape.functions:
                _as_function(choice, choice["message"])
        return {**answer, "usage": self.usage(), **self._of_one()}

    def _of_one(self) -> Json:
        """What the engine said besides, where it was asked once."""
        return self._more if len(self._usage) == 1 else {}

    def usage(self) -> Json:
        """Tokens in all: of every prompt once, of all that was written."""
        if self.shape.silent:
            self._usage = [(prompt, _unwritten(used)) for prompt, used in self._usage]
        if len(self._usage) == 1:
            return self._usage[0][1]
        prompts = dict(reversed(self._usage))
        read = sum(used["prompt_tokens"] for used in prompts.values())
        written = sum(used.get("completion_tokens", 0) for _, used in self._usage)
        total = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        details = _sum([used.get("prompt_tokens_details") or {} for used in prompts.values()])
        return total | ({"prompt_tokens_details": details} if details else {})

    def _choice(self, choice: Json, prompt: int, first: int) -> Json:
        index = prompt * self.shape.drawn + first + choice.get("index", 0)
        lead = self.leads[prompt] if self.leads else None
        state = self._choices.setdefault(index, _Choice(lead))
        told = {**choice, "index": index}
        rows = (choice.get("logprobs") or {}).get("content") or []
        if self.shape.silent:
            told, rows = told | {"text": ""}, []
        state.logprob += sum(row["logprob"] for row in rows)
        state.tokens += len(rows)
        if self.shape.chat:
            self._tell_chat(told, rows, state)
        else:
            self._tell_text(told, rows, state)
        return told

    def _tell_chat(self, told: Json, rows: list[Json], state: _Choice) -> None:
        if self.shape.top_logprobs is None or not rows:
            told["logprobs"] = None
        else:
            told["logprobs"] = as_chat(rows, self.shape.top_logprobs)
        if self.shape.forced:
            told["delta"] = dict(told.get("delta") or {})
            state.call.tell(told)
        if self.shape.functions and self.shape.streamed:
            _as_function(told, told.get("delta") or {})

    def _tell_text(self, told: Json, rows: list[Json], state: _Choice) -> None:
        lead, state.lead = state.lead, None
        before = lead.text if lead else ""
        told["text"] = before + (told.get("text") or "")
        told["logprobs"] = None
        if self.shape.top_logprobs is not None:
            offset = state.written + len(before)
            told["logprobs"] = as_text(rows, self.shape.top_logprobs, offset)
            if lead and lead.logprobs:
                told["logprobs"] = {
                    name: lead.logprobs[name] + rest for name, rest in told["logprobs"].items()
                }
            state.written = offset + sum(len(row) for row in told["logprobs"]["tokens"])

    def _best(self, choices: list[Json]) -> list[Json]:
        """Of each prompt the best choices, the best first."""
        best: list[Json] = []
        drawn, shown = self.shape.drawn, self.shape.choices
        for at in range(0, len(choices), drawn):
            ranked = sorted(
                choices[at : at + drawn], key=lambda one: -self._choices[one["index"]].rank
            )
            best += ranked[:shown]
        return [{**choice, "index": index} for index, choice in enumerate(best)]


def _says_anything(choice: Json) -> bool:
    said = choice.get("delta", True) or choice.get("logprobs")
    return bool(said) or choice.get("finish_reason") is not None


def _as_function(choice: Json, message: Json) -> None:
    """A call of a tool as it was told before there were tools."""
    calls = [call.get("function") or {} for call in message.pop("tool_calls", None) or ()]
    if calls:
        names = [call["name"] for call in calls if call.get("name")]
        said = "".join(call.get("arguments") or "" for call in calls)
        message["function_call"] = {"name": names[0]} if names else {}
        message["function_call"]["arguments"] = said
    if choice.get("finish_reason") == "tool_calls":
        choice["finish_reason"] = "function_call"


def _unwritten(used: Json) -> Json:
    return used | {"completion_tokens": 0, "total_tokens": used["prompt_tokens"]}


def _sum(counts: list[Json]) -> Json:
    names = dict.fromkeys(name for count in counts for name in count)
    return {name: sum(count.get(name) or 0 for count in counts) for name in names}
