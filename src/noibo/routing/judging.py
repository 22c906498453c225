"""Whether a local answer is good enough to be given, without asking a second large model.

    faults (refusal, loop, language, form …)  +  chance that it is right (its own confidence)
    + what a judge model says, where there is one                       →  Verdict

An answer with a fault is not good, whatever its model thought of it. One without is good unless
its chance is known and under the strategy's `confidence`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from noibo.routing import answer_faults as faults
from noibo.routing.confidence import Calibration, Confidence
from noibo.routing.formats import broken_json, wrong_calls
from noibo.routing.verdict import Fault, Verdict

AGREES: Final = 0.5  # share of answers that must say the same


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
