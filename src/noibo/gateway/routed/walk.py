"""A plan, kept to: one target after the other, until one has answered, or none is left.

How one is asked is the business of who walks: `asking`, where the caller waits for the answer, and
`responses.planned`, in the background.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from noibo.errors import ApiCallsExceeded
from noibo.gateway.routed.attempt import Attempt
from noibo.gateway.routed.checked import check
from noibo.gateway.routed.choosing import Choice
from noibo.gateway.routed.telling import Tried
from noibo.gateway.services import Services
from noibo.gateway.watching.record import current
from noibo.routing.plan import Outcome, Target

ANSWERED: Final = "answered"
# None: without an answer, and nobody else is to be asked.
Ending = Outcome | Literal["answered"] | None
Answer = TypeVar("Answer")
Ask = Callable[[Target, Attempt], Awaitable[tuple[Answer, Ending]]]


class Walk:
    """`tried`: who gave no answer, and how that ended. `said`: what was found in answers that were
    checked."""

    def __init__(self, services: Services, choice: Choice) -> None:
        self.tried: Tried = []
        self.said: list[str] = []
        self._services = services
        self._choice = choice

    async def go(self, ask: Ask[Answer]) -> tuple[Answer, Ending]:
        """The last one asked, and how that ended. Where nobody after it has answered, the first
        whose answer was not good: it is one."""
        plan, record = self._choice.plan, current()
        unfit: list[Answer] = []
        place: int | None = 0
        while place is not None:
            target = plan.targets[place]
            record.error, record.fault, record.kept = "", None, False
            attempt = Attempt(target.model, target.side.fields(), target.check)
            answer, ending = await ask(target, attempt)
            if ending == ANSWERED:
                return answer, ending
            if ending is Outcome.UNFIT:
                unfit.append(answer)
            self.tried.append((target.model, (ending or Outcome.REFUSED).value))
            place = None if ending is None else plan.after(place, ending)
        return (unfit[0], Outcome.UNFIT) if unfit else (answer, ending)

    def require_call(self, target: Target) -> None:
        """Count a call elsewhere. Raises `ApiCallsExceeded`."""
        calls = self._services.virtual.calls.get(self._choice.virtual.name)
        if not target.local and calls is not None and not calls.take():
            raise ApiCallsExceeded(
                "All calls that may be made elsewhere in an hour are made.",
                next_step="Wait, or raise max_api_calls_per_hour.",
                retry_after_s=calls.means().retry_after_s,
                answer_locally=True,
            )

    async def judge(self, attempt: Attempt) -> Ending:
        """What its answer is, which is looked at where it is to be checked."""
        if not attempt.checks:
            return ANSWERED
        verdict = await check(self._services, self._choice, attempt)
        self.said += [f"{attempt.model}: {why}" for why in verdict.reasons()]
        return ANSWERED if verdict.good else Outcome.UNFIT

    def settle(self, model: str, ending: Ending) -> None:
        """Its answer is given, whatever became of those asked after it."""
        record = current()
        record.error, record.fault = "", None
        if ending is Outcome.UNFIT:
            self._services.chooser.remember(self._choice, model, unfit=True)

    def begins(self, model: str) -> None:
        """Its answer goes to the caller from here on."""
        chooser = self._services.chooser
        chooser.heard(current(), self._choice, model, self.tried, self.said)
