"""What a request needs of a model, and what it may do: all that a routing decision stands on.

A demand is made once for each request: its shape by `of_chat`, its chance by the complexity
classifier, its label by the privacy policy, its means by the budgets. It holds no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from noibo.routing.reasons import Told

Rule = Literal["leave", "redact", "stay"]
Ability = Literal["tools", "vision", "json", "schema", "audio", "logprobs"]
ABILITIES: Final[tuple[Ability, ...]] = ("tools", "vision", "json", "schema", "audio", "logprobs")
USUAL: Final[frozenset[Ability]] = frozenset({"tools", "json", "schema", "logprobs"})
ANSWER_TOKENS: Final = 512  # expected of an answer where nobody says
PICTURE_TOKENS: Final = 1100  # of one picture, in the larger ones of today's encoders
TURN_TOKENS: Final = 4  # that a chat template puts round a turn
# Bytes of UTF-8 for a token, between what tokenizers of today make of them: English has 4.5; code
# 2.2 to 3; Vietnamese 1.7 where a model was not made for it, and twice that where it was.
ASCII_BYTES: Final = 3.8
OTHER_BYTES: Final = 2.2
LEAST_OF_ESTIMATE: Final = 0.5
MOST_OF_ESTIMATE: Final = 1.75


@dataclass(frozen=True, slots=True)
class Means:
    """What may be spent. `open` False: nothing more for models that cost money, for `why`, until
    `retry_after_s` from now. `api_calls_left` None: nobody counts."""

    open: bool = True
    why: str = ""
    retry_after_s: float | None = None
    api_calls_left: int | None = None


@dataclass(frozen=True, slots=True)
class Chance:
    """The chance that the local model's answer is right: `p`, how sure that is (0 to 1), and why.
    `of` has it for single models, where their own outcomes were learnt from."""

    p: float | None = None
    sure: float = 1.0
    reasons: tuple[Told, ...] = ()
    of: Mapping[str, float] = field(default_factory=dict)

    def for_model(self, name: str) -> float | None:
        """Of one model of this machine."""
        return self.of.get(name, self.p)


@dataclass(frozen=True, slots=True)
class Demand:
    """`tokens` of the prompt, `counted` where that is no estimate; `answer_tokens` that were asked
    for at most (None: nobody says); `needs`: abilities that it cannot be answered without; `task`:
    its kind, by which quality was measured (chat, code, mathematics …); `rule`: what its `label`
    lets it do."""

    tokens: int = 0
    counted: bool = False
    answer_tokens: int | None = None
    needs: frozenset[Ability] = frozenset()
    task: str = "chat"
    turns: int = 1
    chance: Chance = Chance()
    rule: Rule = "leave"
    label: str = "internal"
    means: Means = Means()
    language: str = ""

    @property
    def whole(self) -> int:
        """Tokens of context that it takes: the prompt, and the answer as far as it was asked."""
        return self.tokens + (self.answer_tokens or 0)

    @property
    def least(self) -> int:
        """Tokens of context that it takes for certain."""
        return self.whole if self.counted else round(self.tokens * LEAST_OF_ESTIMATE)

    @property
    def most(self) -> int:
        """Tokens of context that it does not take more than."""
        of_prompt = 0 if self.counted else round(self.tokens * (MOST_OF_ESTIMATE - 1))
        return self.whole + of_prompt

    @property
    def expected_answer(self) -> int:
        """Tokens that an answer is reckoned with where it costs."""
        return min(self.answer_tokens or ANSWER_TOKENS, ANSWER_TOKENS * 2)

    @classmethod
    def of_chat(cls, body: Mapping[str, Any]) -> Demand:
        """The shape of a chat in OpenAI's form: its fields, decoded. Never raises for a strange
        one: what cannot be read asks for nothing, and is refused elsewhere."""
        messages = _rows(body.get("messages"))
        needs: set[Ability] = set()
        size = 0.0
        for message in messages:
            size += TURN_TOKENS + _text_tokens(message.get("tool_calls"))
            for part in _parts(message.get("content")):
                size += _part_tokens(part, needs)
        if tools := body.get("tools") or body.get("functions"):
            needs.add("tools")
            size += _text_tokens(tools)
        needs |= _form(body.get("response_format"))
        if body.get("logprobs"):
            needs.add("logprobs")
        wanted = body.get("max_completion_tokens") or body.get("max_tokens")
        return cls(
            tokens=round(size),
            answer_tokens=wanted if isinstance(wanted, int) and wanted > 0 else None,
            needs=frozenset(needs),
            turns=sum(message.get("role") == "user" for message in messages) or 1,
        )

    def staying(self, label: str) -> Demand:
        """The same, which may not leave this machine."""
        return replace(self, rule="stay", label=label)


def text_tokens(text: str) -> int:
    """About how many tokens a text has."""
    size = len(text.encode("utf-8", "surrogatepass"))
    plain = len(text) if text.isascii() else sum(one < "\x80" for one in text)
    return round(plain / ASCII_BYTES + (size - plain) / OTHER_BYTES)


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _parts(content: Any) -> Iterator[Any]:
    yield from content if isinstance(content, list) else [content]


def _part_tokens(part: Any, needs: set[Ability]) -> float:
    """Tokens of one part of a message; what it needs is put into `needs`."""
    if not isinstance(part, Mapping):
        return _text_tokens(part)
    kind = str(part.get("type", ""))
    if "image" in kind:
        needs.add("vision")
        return PICTURE_TOKENS
    if "audio" in kind:
        needs.add("audio")
        return PICTURE_TOKENS
    return _text_tokens(part)


def _text_tokens(value: Any) -> float:
    """Of all text in a value, names of fields too: they stand in the prompt as JSON."""
    if isinstance(value, str):
        return text_tokens(value)
    if isinstance(value, Mapping):
        return sum(_text_tokens(name) + _text_tokens(one) for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return sum(_text_tokens(one) for one in value)
    return 0.0


def _form(asked: Any) -> set[Ability]:
    kind = asked.get("type") if isinstance(asked, Mapping) else None
    if kind == "json_schema":
        return {"schema"}
    return {"json"} if kind == "json_object" else set()
