"""The local model of `HybridLLM`: asked so that its answer can be judged, and judged.

its tokens' log-probabilities → confidence;  further answers → agreement;  a judge → a grade
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from noibo.routing.agreement import agreement
from noibo.routing.confidence import Calibration
from noibo.routing.endpoint import Endpoint, NotAnswered, text_of
from noibo.routing.judge_model import grade_of, judge_request
from noibo.routing.judging import Answer, Asked, Verdict, judge
from noibo.routing.plan import Outcome

CONFIDENCE_FIELDS: Final[Mapping[str, Any]] = {"logprobs": True, "top_logprobs": 5}
AGREES: Final = 0.5  # share of answers that must say the same, where no chance is known
_FREELY: Final = 0.7  # temperature of the further answers


@dataclass(slots=True)
class Checked:
    """One model of this house. `judge`: another there that grades; `samples`: answers in all."""

    endpoint: Endpoint
    threshold: float
    calibration: Calibration | None = None
    judge: str = ""
    samples: int = 1

    def ask(self, fields: Mapping[str, Any]) -> tuple[dict[str, Any], Verdict]:
        """An answer and whether it is good. Raises `NotAnswered`."""
        raw = self._with_confidence(fields)
        return raw, self._verdict(raw, fields)

    def _with_confidence(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """With its log-probabilities, where the server tells them."""
        try:
            return self.endpoint.chat(msgspec.json.encode({**fields, **CONFIDENCE_FIELDS}))
        except NotAnswered as refused:
            if refused.outcome is not Outcome.REFUSED:
                raise
        return self.endpoint.chat(msgspec.json.encode(fields))

    def _verdict(self, raw: Mapping[str, Any], fields: Mapping[str, Any]) -> Verdict:
        # How long an answer may be is the configuration's wish here, and not the caller's.
        asked = replace(Asked.of_chat(fields), bounded=False)
        verdict = judge(Answer.of_chat(raw), asked, self.threshold, self.calibration)
        share = self._agreement(raw, fields) if verdict.good else None
        grade = self._grade(asked.question, text_of(raw)) if verdict.good and self.judge else None
        if share is None and grade is None:
            return verdict
        answer = Answer.of_chat(raw, share)
        verdict = judge(answer, asked, self.threshold, self.calibration, grade)
        if verdict.good and verdict.p is None and share is not None and share < AGREES:
            differs = {"share": share, "threshold": AGREES}
            return replace(verdict, good=False, found={"disagreement": differs})
        return verdict

    def _agreement(self, raw: Mapping[str, Any], fields: Mapping[str, Any]) -> float | None:
        """The share of answers that say the same; None where only one is wanted, or to be had."""
        freely = msgspec.json.encode({**fields, "temperature": _FREELY})
        further = []
        for _ in range(self.samples - 1):
            try:
                further.append(text_of(self.endpoint.chat(freely)))
            except NotAnswered:
                break
        return agreement([text_of(raw), *further]) if further else None

    def _grade(self, question: str, answer: str) -> float | None:
        """What the judge says, on the same server: nothing leaves for it."""
        fields = {**judge_request(question, answer), "model": self.judge}
        try:
            return grade_of(text_of(self.endpoint.chat(msgspec.json.encode(fields))))
        except NotAnswered:
            return None
