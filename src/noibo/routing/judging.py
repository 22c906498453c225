"""Whether a local answer is good enough to be given, without asking a second large model.

    faults (refusal, loop, language, form …)  +  chance that it is right (its own confidence)
    + what a judge model says, where there is one                       →  Verdict

An answer with a fault is not good, whatever its model thought of it. One without is good unless
its chance is known and under the strategy's `confidence`. Pure; told in English and Vietnamese.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from noibo.routing import answer_faults as faults
from noibo.routing.confidence import Calibration, Confidence
from noibo.routing.formats import broken_json, wrong_calls
from noibo.routing.reasons import Language

Fault = Literal[
    "empty",
    "echo",
    "refusal",
    "loop",
    "language",
    "format",
    "tools",
    "unclosed",
    "cut_off",
    "judge",
]
AGREES: Final = 0.5  # share of answers that must say the same
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "empty": ("it is empty", "câu trả lời rỗng"),
        "echo": ("it only repeats the question", "chỉ lặp lại câu hỏi"),
        "refusal": ("it refuses, or does not know", "từ chối, hoặc nói là không biết"),
        "loop": ("it says the same again and again", "lặp đi lặp lại"),
        "language": (
            "it is in another language ({what}) than it was asked in",
            "trả lời bằng ngôn ngữ khác ({what}) với câu hỏi",
        ),
        "format": ("it {what}", "sai định dạng ({what})"),
        "tools": ("it {what}", "gọi công cụ sai ({what})"),
        "unclosed": ("a block of code has no end", "khối mã không có kết thúc"),
        "cut_off": ("it is cut off", "bị cắt giữa chừng"),
        "judge": (
            "the judge gives it {what}, less than {threshold:.2f}",
            "mô hình chấm cho {what}, thấp hơn {threshold:.2f}",
        ),
        "unsure": (
            "its model was not sure: right with a chance of {p:.2f}, less than {threshold:.2f}",
            "mô hình không chắc chắn: xác suất đúng {p:.2f}, thấp hơn {threshold:.2f}",
        ),
        "disagreement": (
            "asked again, its model says something else: {share:.2f} of the answers agree",
            "hỏi lại thì mô hình trả lời khác: chỉ {share:.2f} số câu trả lời giống nhau",
        ),
        "good": ("nothing is wrong with it", "không thấy lỗi gì"),
        "sure": (
            "nothing is wrong with it, and it is right with a chance of {p:.2f}",
            "không thấy lỗi gì, xác suất đúng {p:.2f}",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is held against. `question`: the last thing that was asked; `bounded`: the
    caller itself said how long the answer may be, so that one cut there is as it wanted."""

    question: str = ""
    json: bool = False
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    bounded: bool = False

    @classmethod
    def of_chat(cls, body: Mapping[str, Any]) -> Asked:
        """By a chat in OpenAI's shape."""
        form = body.get("response_format")
        kind = form.get("type") if isinstance(form, Mapping) else None
        schema = form.get("json_schema") if isinstance(form, Mapping) else None
        tools = body.get("tools")
        return cls(
            question=last_question(body.get("messages")),
            json=kind in ("json_object", "json_schema"),
            schema=schema.get("schema") if isinstance(schema, Mapping) else None,
            tools=tools if isinstance(tools, list) else (),
            bounded=bool(body.get("max_tokens") or body.get("max_completion_tokens")),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered."""

    text: str
    finish: str = "stop"
    calls: Sequence[Any] = ()
    confidence: Confidence | None = None

    @classmethod
    def of_chat(cls, body: Mapping[str, Any]) -> Answer:
        """By a whole answer in OpenAI's shape: its first choice."""
        choices = body.get("choices")
        choice = _table(choices[0] if isinstance(choices, list) and choices else None)
        message = _table(choice.get("message"))
        content, calls = message.get("content"), message.get("tool_calls")
        return cls(
            text=content if isinstance(content, str) else "",
            finish=choice.get("finish_reason") or "stop",
            calls=calls if isinstance(calls, list) else (),
            confidence=Confidence.of_chat(choice),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`good`: it may be given. `p`: the chance that it is right, where that is known. `found`: the
    faults, with the facts that their words have."""

    good: bool
    p: float | None
    threshold: float
    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[str, ...]:
        """Their codes."""
        return tuple(self.found)

    def reasons(self, language: Language = "en") -> list[str]:
        """In words."""
        return [WORDS[code][language == "vi"].format(**facts) for code, facts in self._told()]

    def as_json(self, language: Language = "en") -> dict[str, Any]:
        """For headers and the ledger."""
        said = self.reasons(language)
        return {"good": self.good, "p": self.p, "faults": list(self.found), "reasons": said}

    def _told(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        if self.found:
            yield from self.found.items()
        elif self.p is None:
            yield "good", {}
        else:
            yield "sure", {"p": self.p}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What else is known of an answer. `prior`: the chance that it would be right, before it was
    there; `calibration`: what its model's confidence says; `agreed`: the share of further answers
    that say the same, itself among them; `graded`: what a judge model gave it. Each from 0 to 1;
    None: nobody looked."""

    prior: float | None = None
    calibration: Calibration | None = None
    agreed: float | None = None
    graded: float | None = None

    def chance(self, confidence: Confidence | None) -> float | None:
        """That the answer is right."""
        if self.calibration is None or confidence is None:
            return None
        return self.calibration.chance(replace(confidence, agreement=self.agreed), self.prior)


def judge(
    answer: Answer, asked: Asked, threshold: float = 0.5, evidence: Evidence | None = None
) -> Verdict:
    """Whether an answer is good. Without a calibration nothing is made of how sure its model was;
    where its model mostly says something else when it is asked again, it is not good."""
    evidence = evidence or Evidence()
    found = dict(_faults(answer, asked))
    p = evidence.chance(answer.confidence)
    if evidence.agreed is not None and evidence.agreed < AGREES:
        found["disagreement"] = {"share": evidence.agreed}
    if evidence.graded is not None and evidence.graded < threshold:
        found["judge"] = {"what": f"{evidence.graded:.2f}", "threshold": threshold}
    if p is not None and p < threshold:
        found["unsure"] = {"p": p, "threshold": threshold}
    return Verdict(not found, p, threshold, found)


def last_question(messages: Any) -> str:
    """The text of the last turn of the user."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            return "\n".join(
                str(part["text"]) for part in parts if isinstance(part, Mapping) and "text" in part
            )
    return ""


def _table(said: Any) -> Mapping[str, Any]:
    """What a server says, where it is what it should be."""
    return said if isinstance(said, Mapping) else {}


def _faults(answer: Answer, asked: Asked) -> Iterable[tuple[Fault, Mapping[str, Any]]]:
    if answer.finish == "length" and not asked.bounded:
        yield "cut_off", {}
    if answer.calls:
        if wrong := wrong_calls(answer.calls, asked.tools):
            yield "tools", {"what": wrong}
        return
    if faults.is_empty(answer.text):
        yield "empty", {}
        return
    if asked.json:
        if wrong := broken_json(faults.said(answer.text), asked.schema):
            yield "format", {"what": wrong}
        return
    if faults.is_echo(answer.text, asked.question):
        yield "echo", {}
    if faults.is_refusal(answer.text, asked.question):
        yield "refusal", {}
    if faults.is_loop(answer.text, asked.question):
        yield "loop", {}
    if language := faults.other_language(answer.text, asked.question):
        yield "language", {"what": language}
    if faults.is_unclosed(answer.text):
        yield "unclosed", {}
