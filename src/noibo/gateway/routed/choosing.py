"""Which model is asked for a request to a virtual one: the request is looked at, judged, and made
into a plan (`noibo.routing`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from noibo.gateway.access.identity import now
from noibo.gateway.leaving.labels import said_of
from noibo.gateway.routed.asked import Chat, as_chat
from noibo.gateway.routed.built_on import built_on
from noibo.gateway.routed.candidates import candidate
from noibo.gateway.routed.outcomes import FILE_NAME, Outcomes
from noibo.gateway.routed.telling import Tried, reasons_of, route_json
from noibo.gateway.routed.virtual import Virtual
from noibo.gateway.routed.votes import Answered, Votes
from noibo.gateway.services import Services
from noibo.gateway.watching.record import Record
from noibo.privacy.judgement import Reason
from noibo.routing.demand import Chance, Demand, Means, Rule, text_tokens
from noibo.routing.judging import last_question
from noibo.routing.own_answers import OwnAnswers
from noibo.routing.plan import Outcome, Plan, make_plan
from noibo.routing.stickiness import Previous
from noibo.routing.virtual import VirtualModel
from noibo.wire.body import Fields

if TYPE_CHECKING:
    from noibo.routing.complexity import Complexity, ComplexityClassifier
    from noibo.routing.features import Query


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan, the request as it was looked at, and the virtual model that it was sent to."""

    virtual: VirtualModel
    plan: Plan
    chat: Chat
    p_raw: float | None = None  # as the shipped weights have it

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Of the conversation."""
        found = self.chat.get("messages")
        return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


class Chooser:
    """Makes plans. The classifier is loaded when it is first asked, in a thread."""

    def __init__(self, services: Services, virtual: Virtual) -> None:
        self._services = services
        self._virtual = virtual
        self._classifier: ComplexityClassifier | None = None
        self._own: dict[str, OwnAnswers] = {}
        self.outcomes = Outcomes(services.settings.home / FILE_NAME)
        self.votes = Votes()

    def answers_of(self, model: str) -> OwnAnswers:
        """How sure a model of this machine mostly is of what it answers."""
        return self._own.setdefault(model, OwnAnswers())

    async def choose(self, record: Record, asked: VirtualModel, path: str, sent: Fields) -> Choice:
        """Raises `NoCandidate`."""
        services = self._services
        found = [await candidate(services, name) for name in asked.candidates]
        candidates = [one for one in found if one is not None]
        before = await built_on(services, path, sent)
        fields = before.joined(sent)
        chat = as_chat(path, fields)
        demand = Demand.of_chat(chat)
        if asked.strategy.weighs:
            here = [one.name for one in candidates if one.local]
            demand = await self._weighed(chat, demand, here)
        if any(not one.local for one in candidates):
            demand = await self._judged(record, asked, fields, demand, before.said)
        choice = Choice(asked, _NO_PLAN, chat, demand.chance.p)
        previous = self._virtual.conversations.recall(now().owner, choice.messages)
        plan = make_plan(
            asked.name,
            demand,
            candidates,
            asked.strategy,
            previous or before.previous(candidates),
            offline=services.settings.offline,
        )
        return replace(choice, plan=plan)

    def remember(self, choice: Choice, model: str, *, unfit: bool = False) -> None:
        """What answered, for the next turn of that conversation."""
        local = any(one.local for one in choice.plan.targets if one.model == model)
        easy = choice.virtual.strategy.plainly_simple(choice.plan.p_local)
        previous = Previous(model, local, unfit, easy)
        self._virtual.conversations.remember(now().owner, choice.messages, previous)

    def heard(
        self, record: Record, choice: Choice, model: str, tried: Tried, said: Sequence[str]
    ) -> None:
        """An answer goes to the caller from here on. `tried`: who was asked before, or was found
        not good; `said`: what was found of answers that were checked."""
        record.reasons = reasons_of(choice.plan, tried, said)
        if record.journey is not None:
            record.journey.pending = False
            record.journey.route = route_json(choice.plan, model, tried)
        self._may_be_voted_on(record, choice, model)
        if (model, Outcome.UNFIT.value) not in tried:  # else that was remembered of it
            self.remember(choice, model)

    def _may_be_voted_on(self, record: Record, choice: Choice, model: str) -> None:
        """It answers; who asked may say how good that was."""
        local = any(one.local for one in choice.plan.targets if one.model == model)
        if local and choice.p_raw is not None:
            self.votes.answered(record.id, now(), Answered(model, choice.p_raw))

    async def _weighed(self, chat: Chat, demand: Demand, here: Sequence[str]) -> Demand:
        """With the chance that a local model is right, of each whose outcomes are known its own,
        and of which kind it is."""
        if self._classifier is None:
            self._classifier = await asyncio.to_thread(_new_classifier)
        weigh = self._classifier.weigh

        def look() -> Demand:
            found = weigh(_query(chat, demand))
            chance = Chance(found.p_local, found.sure, found.told())
            fitted = self.outcomes.fitted(chance, here)
            return replace(demand, chance=fitted, task=_task_of(found))

        return await asyncio.to_thread(look)

    async def _judged(
        self,
        record: Record,
        asked: VirtualModel,
        fields: Mapping[str, Any],
        demand: Demand,
        before: Sequence[Reason],
    ) -> Demand:
        """With what may be done with it, and what may be spent on it."""
        border = self._services.border
        journey = border.journey(record)
        said = [*said_of(record, self._services.settings, asked.name), *before]
        judgement = await border.detection.judge(journey, fields, said)
        rule: Rule = str(judgement.rule)  # type: ignore[assignment]
        calls = self._virtual.calls.get(asked.name)
        means = calls.means() if calls is not None else Means()
        return replace(demand, label=judgement.label, rule=rule, means=means)


def _new_classifier() -> ComplexityClassifier:
    from noibo.routing.complexity import ComplexityClassifier

    return ComplexityClassifier()


def _task_of(found: Complexity) -> str:
    from noibo.routing.task import task_of

    return task_of(found.features)


def _query(chat: Chat, demand: Demand) -> Query:
    """The last thing that is asked, and what stands round it."""
    from noibo.routing.features import Query

    question = last_question(chat.get("messages"))
    tools, documents = chat.get("tools"), chat.get("documents")
    return Query(
        question,
        context_tokens=max(demand.tokens - text_tokens(question), 0),
        turns=demand.turns,
        tools=len(tools) if isinstance(tools, list) else 0,
        documents=len(documents) if isinstance(documents, list) else 0,
        pictures=int("vision" in demand.needs),
    )


_NO_PLAN: Final = Plan("", "local_only", (), (), ())
