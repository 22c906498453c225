"""The local model of `HybridLLM`: asked so that its answer can be judged, and judged.

its tokens' log-probabilities → confidence;  further answers → agreement;  a judge → a grade
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from noibo.routing.agreement import agreement
from noibo.routing.confidence import Calibration
from noibo.routing.endpoint import Endpoint, NotAnswered, text_of
from noibo.routing.judge_model import grade_of, judge_request
from noibo.routing.judging import Answer, Asked, Evidence, judge
from noibo.routing.own_answers import OwnAnswers
from noibo.routing.plan import Outcome
from noibo.routing.verdict import Verdict

CONFIDENCE_FIELDS: Final[Mapping[str, Any]] = {"logprobs": True, "top_logprobs": 5}
_FREELY: Final = 0.7  # temperature of the further answers


@dataclass(slots=True)
class Checked:
    """One model of this house. `calibration`: learnt for it, else what `own` answers come to;
    `judge`: another there that grades; `samples`: answers in all."""

    endpoint: Endpoint
    threshold: float
    calibration: Calibration | None = None
    judge: str = ""
    samples: int = 1
    own: OwnAnswers = field(default_factory=OwnAnswers)

    def ask(
        self, fields: Mapping[str, Any], prior: float | None = None
    ) -> tuple[dict[str, Any], Verdict]:
        """An answer and whether it is good; `prior`: the chance of that before it was asked. Raises
        `NotAnswered`."""
        raw = self._with_confidence(fields)
        return raw, self._verdict(raw, fields, prior)

    def _with_confidence(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """With its log-probabilities, where the server tells them."""
        try:
            return self.endpoint.chat(msgspec.json.encode({**fields, **CONFIDENCE_FIELDS}))
        except NotAnswered as refused:
            if refused.outcome is not Outcome.REFUSED:
                raise
        return self.endpoint.chat(msgspec.json.encode(fields))

    def _verdict(
        self, raw: Mapping[str, Any], fields: Mapping[str, Any], prior: float | None
    ) -> Verdict:
        # How long an answer may be is the configuration's wish here, and not the caller's.
        asked, answer = replace(Asked.of_chat(fields), bounded=False), Answer.of_chat(raw)
        verdict = judge(answer, asked, self.threshold)
        if not verdict.good:
            return verdict
        share = self._agreement(raw, fields)
        calibration = self.calibration or self.own.weigh(answer.confidence, share)
        grade = self._grade(asked.question, answer.text) if self.judge else None
        return judge(answer, asked, self.threshold, Evidence(prior, calibration, share, grade))

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
