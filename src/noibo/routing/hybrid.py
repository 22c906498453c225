"""`HybridLLM`: a question is answered by a small model of this house where it can, and by a large
one elsewhere where it must and may.

    llm = HybridLLM(LLM_CONFIG)
    llm.generate("Thủ đô của Việt Nam là gì?", context)       # the text
    answer = llm.ask("So sánh hai phương án này", context)    # text, model, plan, verdict, receipt

Both are servers that speak OpenAI's protocol: noibo, vLLM, llama-server; OpenRouter or any other.
Plans, labels, redaction and the door outward are those of the server.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import msgspec

from noibo.egress import Door
from noibo.errors import (
    ApiCallsExceeded,
    EgressRefused,
    MustStay,
    NoCandidate,
    NoiboError,
    UsageError,
)
from noibo.privacy.judging import Find
from noibo.privacy.policy import Policy
from noibo.privacy.receipt import Receipt
from noibo.routing.api_calls import ApiCalls
from noibo.routing.candidates import Candidate
from noibo.routing.checking import Checked
from noibo.routing.clients import (
    Clients,
    away_client,
    home_client,
    require_home,
    require_sealed,
)
from noibo.routing.complexity import Complexity, ComplexityClassifier
from noibo.routing.confidence import Calibration
from noibo.routing.demand import Chance, Demand, Rule, text_tokens
from noibo.routing.departing import Gate, Journey, messages_of
from noibo.routing.endpoint import Endpoint, NotAnswered, text_of
from noibo.routing.features import Query
from noibo.routing.judging import Answer, Asked, judge
from noibo.routing.llm_config import Wiring, read_config
from noibo.routing.plan import Outcome, Plan, Target, make_plan
from noibo.routing.stickiness import Conversations, Previous
from noibo.routing.strategy import KINDS, Kind
from noibo.routing.task import task_of
from noibo.routing.verdict import Verdict
from noibo.settings import Settings, load

LOCAL: Final = "local"
NAME: Final = "hybrid"
Context = str | Sequence[str] | Sequence[Mapping[str, Any]] | None


class Classifier(Protocol):
    """How hard a question is: `ComplexityClassifier`, or one of one's own."""

    def weigh(self, query: Query) -> Complexity:
        """The chance that the local model is right, and why."""


@dataclass(frozen=True, slots=True)
class HybridAnswer:
    """An answer and how it came about. `verdict` is None where nobody looked at it; `tried`: who
    was asked before, and why that was not enough."""

    text: str
    model: str
    local: bool
    plan: Plan
    receipt: Receipt
    verdict: Verdict | None = None
    tried: tuple[tuple[str, str], ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class SideModel:
    """One of the two, with the seed's `generate`."""

    llm: HybridLLM
    strategy: str

    def generate(self, query: str, context: Context = None) -> str:
        """Answer by this one alone."""
        return self.llm.ask(query, context, strategy=self.strategy).text


class HybridLLM:
    """For several threads. `label`: what every question is at least; `calibration`: of the local
    model's own confidence, where it was learnt; `classifier`, `find` (the detector) and `clock`
    stand in for the usual. `close()` ends its connections; so does its own end."""

    def __init__(  # noqa: PLR0913 - parts that a program may bring itself
        self,
        config: Mapping[str, Any] | None = None,
        *,
        label: str | None = None,
        settings: Settings | None = None,
        classifier: Classifier | None = None,
        calibration: Calibration | None = None,
        find: Find | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        tree = settings or load()
        self.wiring: Wiring = read_config(config, tree)
        self.complexity_classifier = classifier or ComplexityClassifier()
        self._label = label
        self._offline = tree.offline
        door = Door(offline=tree.offline, record=tree.home / "egress.jsonl")
        self._gate = Gate(Policy.of(tree.privacy), door, find or _detector())
        clients = Clients(door)
        self.close = weakref.finalize(self, clients.close)
        here, api = self.wiring.local, self.wiring.api
        home = require_home(here.url)
        self._local = Endpoint(home, here.key, clients.later(home, home_client), clock)
        self._api = None
        if api:
            away = require_sealed(api.url)
            client = clients.later(away, away_client)
            self._api = Endpoint(away, api.key, client, clock, openrouter=api.openrouter)
        strategy, judge_model = self.wiring.strategy, self.wiring.judge
        self._calls = ApiCalls(strategy.limits.max_api_calls_per_hour, clock)
        self._checked = Checked(
            self._local, strategy.confidence, calibration, judge_model, self.wiring.samples
        )
        self._conversations = Conversations()
        self._turn = threading.Lock()

    @property
    def local_model(self) -> SideModel:
        """The model of this house alone."""
        return SideModel(self, "local_only")

    @property
    def api_model(self) -> SideModel:
        """The one elsewhere alone; what must stay is refused."""
        return SideModel(self, "api_only")

    def generate(self, query: str, context: Context = None) -> str:
        """The answer's text. Raises what `ask` does."""
        return self.ask(query, context).text

    def is_good_response(self, response: str, query: str = "") -> bool:
        """Whether a local answer may be given."""
        return judge(Answer(response), Asked(query), self.wiring.strategy.confidence).good

    def plan(
        self, query: str, context: Context = None, *, label: str | None = None, strategy: str = ""
    ) -> Plan:
        """What would be done; nothing is sent. Raises `NoCandidate`."""
        fields = {"messages": messages_of(query, context, self.wiring.system)}
        return self._planned(query, fields, self._journey(fields, label), strategy)

    def ask(
        self, query: str, context: Context = None, *, label: str | None = None, strategy: str = ""
    ) -> HybridAnswer:
        """The answer, and how it came about. `context`: a text, several, or the turns before.
        Raises `NoCandidate` where nobody may and can answer, and the last model's own error where
        nobody did."""
        fields = {"messages": messages_of(query, context, self.wiring.system)}
        journey = self._journey(fields, label)
        plan = self._planned(query, fields, journey, strategy)
        answer = self._carried_out(plan, fields, journey)
        unfit = answer.verdict is not None and not answer.verdict.good
        with self._turn:
            easy = self.wiring.strategy.plainly_simple(plan.p_local)
            kept = Previous(answer.model, answer.local, unfit, easy)
            self._conversations.remember("", fields["messages"], kept)
        return answer

    def _journey(self, fields: Mapping[str, Any], label: str | None) -> Journey:
        judgement = self._gate.judge(fields, label)
        if self._label:
            judgement = judgement.raised("caller", self._label, "HybridLLM(label=)")
        return Journey.of(judgement)

    def _planned(
        self, query: str, fields: Mapping[str, Any], journey: Journey, strategy: str
    ) -> Plan:
        chosen = self.wiring.strategy
        if strategy:
            chosen = replace(chosen, kind=_kind(strategy))
        judgement, demand = journey.judgement, Demand.of_chat(fields)
        before = max(demand.tokens - text_tokens(query), 0)
        found = self.complexity_classifier.weigh(Query(query, before, demand.turns))
        demand = replace(
            demand,
            chance=Chance(found.p_local, found.sure, found.told()),
            task=task_of(found.features),
            rule=msgspec.convert(str(judgement.rule), Rule),
            label=judgement.label,
            means=self._calls.means(),
        )
        with self._turn:
            previous = self._conversations.recall("", fields["messages"])
        candidates = self._candidates()
        return make_plan(NAME, demand, candidates, chosen, previous, offline=self._offline)

    def _candidates(self) -> list[Candidate]:
        local = self.wiring.local
        found = [
            Candidate(local.model or LOCAL, True, local.context, standing=self._local.standing)
        ]
        if self._api and (api := self.wiring.api):
            found.append(Candidate(api.model, False, api.context, standing=self._api.standing))
        return found

    def _carried_out(self, plan: Plan, fields: Mapping[str, Any], journey: Journey) -> HybridAnswer:
        """Ask one after another, as the plan says. An answer that was not good is given where
        nobody after it answers."""
        place: int | None = 0
        kept: HybridAnswer | None = None
        failed: NoiboError | None = None
        tried: list[tuple[str, str]] = []
        while place is not None:
            target = plan.targets[place]
            try:
                answer = self._asked(plan, target, fields, journey)
            except NotAnswered as nothing:
                failed, outcome, why = nothing.error, nothing.outcome, nothing.error.message
            except (EgressRefused, MustStay) as refused:
                failed, outcome, why = refused, Outcome.FAILED, refused.message
            else:
                if answer.verdict is None or answer.verdict.good:
                    return replace(answer, receipt=journey.receipt, tried=tuple(tried))
                kept, outcome = kept or answer, Outcome.UNFIT
                why = "; ".join(answer.verdict.reasons())
            tried.append((target.model, why))
            place = plan.after(place, outcome)
        if kept is not None:
            return replace(kept, receipt=journey.receipt, tried=tuple(tried))
        failed = failed or NoCandidate("Nobody answered.", status=503)
        for model, why in tried[:-1]:
            failed.add_note(f"{model} was asked before: {why}")
        raise failed

    def _asked(
        self, plan: Plan, target: Target, fields: Mapping[str, Any], journey: Journey
    ) -> HybridAnswer:
        wanted = {**fields, **target.side.fields()}
        if not target.local:
            assert self._api is not None  # noqa: S101 - it was a candidate
            if not self._calls.take():
                raise NotAnswered(Outcome.BUSY, ApiCallsExceeded("The hour's calls are made."))
            try:
                raw = self._gate.ask(self._api, {**wanted, "model": target.model}, journey)
            except (EgressRefused, MustStay):  # nothing was asked
                self._calls.give_back()
                raise
            return HybridAnswer(text_of(raw), target.model, False, plan, journey.receipt, raw=raw)
        wanted["model"] = self.wiring.local.model or self._local.first_model()
        verdict = None
        if target.check:
            raw, verdict = self._checked.ask(wanted, plan.p_local)
        else:
            raw = self._local.chat(msgspec.json.encode(wanted))
        return HybridAnswer(
            text_of(raw), target.model, True, plan, journey.receipt, verdict, raw=raw
        )


def _kind(said: str) -> Kind:
    for one in KINDS:
        if one == said:
            return one
    raise UsageError(f"{said[:40]!r} is no strategy.", next_step=f"Take {', '.join(KINDS)}.")


def _detector() -> Find | None:
    """None where there is none: then nothing leaves."""
    from noibo.privacy.detector import Detector

    return Detector().find
