"""A response in the background that a virtual model gives: one attempt after the other, as
`gateway.routed` has it where somebody waits.

Nothing of an attempt is told or kept before its first word, or, of one that is checked, before the
judge has seen it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from noibo import settings
from noibo.errors import NoiboError
from noibo.gateway.pipeline import Request
from noibo.gateway.reply import Reply
from noibo.gateway.responses.background import Running
from noibo.gateway.responses.teller import ResponseRelay, ResponseTeller, Voice
from noibo.gateway.routed.attempt import ATTEMPT, Attempt
from noibo.gateway.routed.choosing import Choice
from noibo.gateway.routed.outcome import outcome_of
from noibo.gateway.routed.outer import Held, Outer
from noibo.gateway.routed.walk import ANSWERED, Ending, Walk
from noibo.gateway.services import Services
from noibo.routing.plan import Target
from noibo.wire.body import Json

# What asks one model: its request, and who tells its answer.
Make = Callable[[str], Awaitable[tuple[Request, ResponseTeller]]]


class PlannedRelay:
    """It has no answer of its own: each attempt has one, with the same id."""

    def __init__(self, services: Services, choice: Choice, make: Make) -> None:
        self._services = services
        self._make = make
        self._walk = Walk(services, choice)
        self.running: Running | None = None

    async def answer(self, reply: Reply) -> None:
        """Until one has answered. Raises the last error where none has."""
        assert self.running is not None  # noqa: S101 - who begins it says so
        try:
            await self._answer()
        except Exception as error:
            unknown = NoiboError("noibo failed on this response; its log says why.")
            await self.running.fail(error if isinstance(error, NoiboError) else unknown)
            raise

    async def _answer(self) -> None:
        answering, ending = await self._walk.go(self._ask)
        if answering.error is not None:
            raise answering.error
        self._walk.settle(answering.model, ending)
        await answering.give()

    async def _ask(self, target: Target, attempt: Attempt) -> tuple[_Answering, Ending]:
        assert self.running is not None  # noqa: S101 - who begins it says so
        answering = _Answering(self.running, attempt, lambda: self._walk.begins(target.model))
        token = ATTEMPT.set(attempt)
        try:
            self._walk.require_call(target)
            request, teller = await self._make(target.model)
            await answering.ask(self._services, request, teller)
        except NoiboError as error:
            answering.error = error
            return answering, ANSWERED if answering.given else outcome_of(error, error.status)
        finally:
            ATTEMPT.reset(token)
        return answering, await self._walk.judge(attempt)


class _Answering:
    """One attempt, held back until it is given. It is a `Keeping`."""

    def __init__(self, running: Running, attempt: Attempt, begins: Callable[[], None]) -> None:
        self.error: NoiboError | None = None
        self.model = attempt.model
        self._running = running
        self._teller: ResponseTeller | None = None
        self._kept: tuple[Json, bytes] | None = None
        self._voice = Voice()
        self._held = Held(Outer(running.take, self._voice), attempt, lambda: self._turn(begins))

    @property
    def given(self) -> bool:
        return self._held.given

    async def ask(self, services: Services, request: Request, teller: ResponseTeller) -> None:
        """Ask its model. Raises `NoiboError`."""
        self._teller = teller
        teller.answer.queue()  # its events have these numbers before them
        teller.keeping = self
        queue: settings.Queue = services.settings.queue
        relay = ResponseRelay(services.pipeline, request, queue, self._voice, teller)
        reply = Reply(self._held, self._voice)
        await reply.begin_stream()
        await relay.answer(reply)

    async def end(self, response: Json, last: bytes) -> None:
        """Its end, which is kept when it is given."""
        if self.given:
            await self._running.end(response, last)
        else:
            self._kept = response, last

    async def give(self) -> None:
        """Let it be heard, and kept."""
        if self.given:
            return
        last = self._kept[1] if self._kept else b""
        held = self._held.messages
        held[:] = [one for one in held if not last or one.get("body") != last]
        await self._held.give()
        if self._kept is not None:
            await self._running.end(*self._kept)

    def _turn(self, begins: Callable[[], None]) -> None:
        if self._teller is not None:
            self._running.turn_to(self._teller)
        begins()
